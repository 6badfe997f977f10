"""The source text of one generated function, and what a schema's nodes are in a struct."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from customeros.schemas.avro_values import HELPERS


class Text:
    """Lines of one function; `line` appends one, `function` makes it."""

    def __init__(self, arguments: str) -> None:
        self._lines = [f"def generated({arguments}):"]
        self._names = dict(HELPERS)
        self._depth = 1
        self._fresh = 0
        self._records: dict[str, Any] = {}

    def function(self, returns: str) -> Callable[..., Any]:
        """The compiled function. Its text comes from the schemas in this package alone."""
        self.line(f"return {returns}")
        names = dict(self._names)
        exec("\n".join(self._lines), names)  # noqa: S102
        function: Callable[..., Any] = names["generated"]
        return function

    def line(self, text: str) -> None:
        """Append *text*, as far in as the blocks that are open."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """What is written within stands in the block that *head* begins."""
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def local(self, stem: str) -> str:
        """A name that nothing else has."""
        self._fresh += 1
        return f"{stem}_{self._fresh}"

    def named(self, value: str) -> str:
        """A variable of its own that has the value of the expression."""
        if value.isidentifier():
            return value
        name = self.local("value")
        self.line(f"{name} = {value}")
        return name

    def constant(self, value: Any) -> str:
        """A name for *value*."""
        name = self.local("constant")
        self._names[name] = value
        return name

    def resolved(self, schema: Any) -> Any:
        """Follow a name to its record or enum, and a logical type to what it is made of."""
        if isinstance(schema, str):
            return self._records.get(schema, schema)
        if isinstance(schema, dict):
            if "name" in schema:
                self._records[schema["name"]] = schema
            elif "logicalType" in schema:
                return schema["type"]
        return schema


def fields_of(record: Mapping[str, Any], struct: Any) -> list[tuple[Mapping[str, Any], Any]]:
    """The fields of *record*, each with what it is in *struct*; TypeError where they differ."""
    named = [field["name"] for field in record["fields"]]
    if not isinstance(struct, type) or not issubclass(struct, msgspec.Struct):
        raise TypeError(f"{record['name']} is a record, {struct} is not a struct")
    if named != list(struct.__struct_fields__):
        raise TypeError(f"{record['name']}: {named} in the schema, not so in the struct")
    hints = typing.get_type_hints(struct)
    return [(field, hints[field["name"]]) for field in record["fields"]]


def symbols_of(symbols: list[str], kind: Any) -> list[enum.StrEnum]:
    """The members of *kind* that are *symbols*; TypeError where they differ."""
    if not issubclass(kind, enum.StrEnum) or symbols != [member.value for member in kind]:
        raise TypeError(f"{symbols} in the schema, not so in {kind}")
    return list(kind)


def present_of(kind: Any) -> Any:
    """X of `X | None`; TypeError where *kind* is none such."""
    if typing.get_origin(kind) not in (types.UnionType, typing.Union):
        raise TypeError(f"{kind} cannot be null, the schema can")
    (present,) = (part for part in typing.get_args(kind) if part is not type(None))
    return present


def arguments_of(kind: Any, origin: type) -> tuple[Any, ...]:
    """What *kind*, a generic *origin*, is made of; TypeError where it is none such."""
    if typing.get_origin(kind) is not origin:
        raise TypeError(f"{kind} is not a {origin.__name__}")
    return typing.get_args(kind)


def expect(kind: Any, found: type) -> None:
    """TypeError where *kind* is not *found*."""
    if kind is not found:
        raise TypeError(f"{found.__name__} in the schema, {kind} in the struct")
