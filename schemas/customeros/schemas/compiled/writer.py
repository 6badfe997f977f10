"""The writer of a struct: lines that put its Avro together as text of one character a byte."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from customeros.schemas.avro_values import as_text, long_bytes
from customeros.schemas.compiled.text import (
    Text,
    arguments_of,
    expect,
    fields_of,
    present_of,
    symbols_of,
)

# Fields whose values are few; so are the keys of maps.
_RECURRING: Final = frozenset(
    ("workspace", "source", "family", "kind", "type", "name", "currency", "channel")
)


class Writer(Text):
    """
    `write` appends the lines for one schema node.

    Args:
        given: fields that are arguments of the function, each a sequence of Avro items.
    """

    def __init__(self, given: Sequence[str]) -> None:
        super().__init__(", ".join(("value", *given)))
        self._given = given
        self._pieces: list[str] = []

    def compiled(self, record: Mapping[str, Any], kind: Any) -> Callable[..., bytes]:
        """The writer of *kind* by the schema *record*."""
        self.line("out = []")
        self._write_record(record, kind, "value", self._given)
        self._put_pieces()
        return self.function("''.join(out).encode('latin-1')")

    def write(self, schema: Any, kind: Any, value: str, *, recurs: bool = False) -> None:
        """Lines that append the text of the expression *value* to `out`."""
        match self.resolved(schema):
            case [_, _] as branches:
                self._write_optional(branches, present_of(kind), value, recurs=recurs)
            case {"type": "record"} as record:
                self._write_record(record, kind, value)
            case {"type": "enum", "symbols": symbols}:
                coded = {s: as_text(long_bytes(n)) for n, s in enumerate(symbols_of(symbols, kind))}
                self._put(f"{self.constant(coded)}[{value}]")
            case {"type": "array", "items": item}:
                (item_kind, _) = arguments_of(kind, tuple)
                with (
                    self._writing_blocks(value) as (items, each),
                    self.block(f"for {each} in {items}:"),
                ):
                    self.write(item, item_kind, each)
            case {"type": "map", "values": item}:
                (_, item_kind) = arguments_of(kind, dict)
                with self._writing_blocks(value) as (items, each):
                    name = self.local("name")
                    with self.block(f"for {name}, {each} in {items}.items():"):
                        self.write("string", str, name, recurs=True)
                        self.write(item, item_kind, each)
            case "string" if recurs:
                expect(kind, str)
                self._put(f"WORD[{value}]")
            case "string":
                expect(kind, str)
                text = self.named(value)
                self.line(f"if not {text}.isascii(): {text} = as_text({text}.encode())")
                self._put(f"LONG[len({text})]", text)
            case "bytes":
                expect(kind, bytes)
                text = self.named(f"as_text({value})")
                self._put(f"LONG[len({text})]", text)
            case "long":
                expect(kind, int)
                self._put(f"LONG[{value}]")
            case "boolean":
                expect(kind, bool)
                self._put(f"{self.constant({False: chr(0), True: chr(1)})}[{value}]")
            case other:
                raise TypeError(f"no codec for {other!r}")

    def _write_record(
        self, record: Mapping[str, Any], kind: Any, value: str, given: Collection[str] = ()
    ) -> None:
        """Lines that append the fields of the expression *value*; those *given* are variables."""
        name = self.named(value)
        for field, field_kind in fields_of(record, kind):
            if field["name"] in given:
                self._write_given(field["name"])
                continue
            part = f"{name}.{field['name']}"
            self.write(field["type"], field_kind, part, recurs=field["name"] in _RECURRING)

    def _write_optional(self, branches: list[Any], kind: Any, value: str, *, recurs: bool) -> None:
        absent = branches.index("null")
        present = self.resolved(branches[1 - absent])
        name = self.named(value)
        plain = isinstance(present, str)
        branch = partial(self._assigning, name) if plain else self.block
        with branch(f"if {name} is None:"):
            self._pieces.append(_literal(absent))
        with branch("else:"):
            self._pieces.append(_literal(1 - absent))
            self.write(present, kind, name, recurs=recurs)
        if plain:
            self._put(name)

    def _write_given(self, items: str) -> None:
        """One block with its size, so that a reader may pass over it in one step."""
        with self.block(f"if {items}:"):
            block = self.local("block")
            self.line(f"{block} = as_text(b''.join({items}))")
            self._put(f"LONG[-len({items})]", f"LONG[len({block})]", block)
        self._pieces.append(_literal(0))

    def _put(self, *expressions: str) -> None:
        self._pieces += [f"{{{expression}}}" for expression in expressions]

    def _put_pieces(self) -> None:
        """What was written since the last time, in one go."""
        if self._pieces:
            self.line(f'out.append(f"{"".join(self._pieces)}")')
            self._pieces.clear()

    @contextmanager
    def _writing_blocks(self, value: str) -> Iterator[tuple[str, str]]:
        items, each = self.local("items"), self.local("item")
        self.line(f"{items} = {value}")
        with self.block(f"if {items}:"):
            self._put(f"LONG[len({items})]")
            yield items, each
        self._pieces.append(_literal(0))

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self._put_pieces()
        with super().block(head):
            yield
            self._put_pieces()

    @contextmanager
    def _assigning(self, name: str, head: str) -> Iterator[None]:
        """What is written in the block becomes the value of *name*; it has no blocks in it."""
        before, self._pieces = self._pieces, []
        self.line(head)
        self._depth += 1
        yield
        self.line(f'{name} = f"{"".join(self._pieces)}"')
        self._depth -= 1
        self._pieces = before


def _literal(number: int) -> str:
    """A small long within the text of a string."""
    return f"\\x{long_bytes(number).hex()}"
