"""
Avro of a struct as straight-line Python, generated once from its schema and its annotations.

What a general codec decides for each value (which branch, which field, which type) is decided
here for the schema. The bytes are the same as any other Avro writer's. They are put together as
text of one character a byte (Latin-1): most are text already, and Python is quick to join it.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from customeros.schemas.avro_values import HELPERS, MANY, TIME, as_text, long_bytes
from customeros.schemas.remembered import Remembered

T = TypeVar("T", bound=msgspec.Struct)

# Fields whose values are few; so are the keys of maps.
_RECURRING: Final = frozenset(
    ("workspace", "source", "family", "kind", "type", "name", "currency", "channel")
)


class Compiled(NamedTuple):
    """
    Args:
        write: the Avro bytes of a value (and of what is given beside it).
        read: the value at a position of some bytes, and the position after it; raises
            IndexError, ValueError or KeyError where the bytes do not fit.
    """

    write: Callable[..., bytes]
    read: Callable[[bytes, int], tuple[Any, int]]


def compile_codec(
    definition: Mapping[str, Any],
    struct: type[T],
    *,
    given: Sequence[str] = (),
    unread: Collection[str] = (),
) -> Compiled:
    """
    The writer and the reader of *struct* by the record schema *definition*.

    Args:
        given: arrays of the record that the writer takes from further arguments, in this order:
            sequences of items that are Avro already.
        unread: fields, at any depth or `Record.field`, that the reader passes over; they get
            their defaults.

    Raises:
        TypeError: schema and struct differ, or the schema has what no released one has.
    """
    writer, reader = _Generator(", ".join(("value", *given))), _Generator("data, at", unread)
    writer.line("out = []")
    writer.write_record(definition, struct, "value", given)
    reader.read(definition, struct, "value")
    return Compiled(writer.function("''.join(out).encode('latin-1')"), reader.function("value, at"))


def compile_plain(
    definition: Mapping[str, Any],
    struct: type[msgspec.Struct],
    *,
    time: Callable[[int], Any],
    times: Collection[str] = (),
    unread: Collection[str] = (),
) -> Callable[[bytes, int], tuple[Any, int]]:
    """
    A reader of *struct* for those who pass it on as JSON: a time is what *time* says.

    It makes structs of its own, which can be changed and take a third of the time to make.

    Args:
        time: of ms since the epoch.
        times: fields whose longs are times, though the schema does not say so.
        unread: fields, at any depth or `Record.field`, that are passed over; they are missing.

    Raises:
        TypeError: as `compile_codec`.
    """
    reader = _PlainGenerator(time, times, unread)
    reader.read(definition, struct, "value")
    return reader.function("value, at")


class _Generator:
    """Source text of one function; `write` and `read` append the lines for one schema node."""

    def __init__(self, arguments: str, unread: Collection[str] = ()) -> None:
        self._unread = unread
        self._lines = [f"def generated({arguments}):"]
        self._names = dict(HELPERS)
        self._depth = 1
        self._fresh = 0
        self._pieces: list[str] = []
        self._records: dict[str, Any] = {}

    def function(self, returns: str) -> Callable[..., Any]:
        """The compiled function. Its text comes from the schemas in this package alone."""
        self._put_pieces()
        self.line(f"return {returns}")
        names = dict(self._names)
        exec("\n".join(self._lines), names)  # noqa: S102
        function: Callable[..., Any] = names["generated"]
        return function

    def line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    def write(self, schema: Any, kind: Any, value: str, *, recurs: bool = False) -> None:
        """Lines that append the text of the expression *value* to `out`."""
        match self._resolved(schema):
            case [_, _] as branches:
                self._write_optional(branches, _present(kind), value, recurs=recurs)
            case {"type": "record"} as record:
                self.write_record(record, kind, value)
            case {"type": "enum", "symbols": symbols}:
                coded = {s: as_text(long_bytes(n)) for n, s in enumerate(_symbols(symbols, kind))}
                self._put(f"{self._constant(coded)}[{value}]")
            case {"type": "array", "items": item}:
                (item_kind, _) = _arguments(kind, tuple)
                with (
                    self._writing_blocks(value) as (items, each),
                    self._block(f"for {each} in {items}:"),
                ):
                    self.write(item, item_kind, each)
            case {"type": "map", "values": item}:
                (_, item_kind) = _arguments(kind, dict)
                with self._writing_blocks(value) as (items, each):
                    name = self._local("name")
                    with self._block(f"for {name}, {each} in {items}.items():"):
                        self.write("string", str, name, recurs=True)
                        self.write(item, item_kind, each)
            case "string" if recurs:
                _expect(kind, str)
                self._put(f"WORD[{value}]")
            case "string":
                _expect(kind, str)
                text = self._named(value)
                self.line(f"if not {text}.isascii(): {text} = as_text({text}.encode())")
                self._put(f"LONG[len({text})]", text)
            case "bytes":
                _expect(kind, bytes)
                text = self._named(f"as_text({value})")
                self._put(f"LONG[len({text})]", text)
            case "long":
                _expect(kind, int)
                self._put(f"LONG[{value}]")
            case "boolean":
                _expect(kind, bool)
                self._put(f"{self._constant({False: chr(0), True: chr(1)})}[{value}]")
            case other:
                raise TypeError(f"no codec for {other!r}")

    def write_record(
        self, record: Mapping[str, Any], kind: Any, value: str, given: Collection[str] = ()
    ) -> None:
        """Lines that append the fields of the expression *value*; those *given* are variables."""
        name = self._named(value)
        for field, field_kind in _fields(record, kind):
            if field["name"] in given:
                self._write_given(field["name"])
                continue
            part = f"{name}.{field['name']}"
            self.write(field["type"], field_kind, part, recurs=field["name"] in _RECURRING)

    def read(self, schema: Any, kind: Any, target: str) -> None:
        """Lines that assign what is at `at` to the variable *target* and move `at` on."""
        match self._resolved(schema):
            case [_, _] as branches:
                self._read_optional(branches, _present(kind), target)
            case {"type": "record"} as record:
                self._read_record(record, kind, target)
            case {"type": "enum", "symbols": symbols}:
                # Fewer than 64 symbols, so the index is one byte.
                coded = {long_bytes(n)[0]: s for n, s in enumerate(_symbols(symbols, kind))}
                self.line(f"{target} = {self._constant(coded)}[data[at]]; at += 1")
            case {"type": "array", "items": item}:
                (item_kind, _) = _arguments(kind, tuple)
                found, each = self._local("items"), self._local("item")
                self.line(f"{found} = []")
                with self._reading_blocks():
                    self.read(item, item_kind, each)
                    self.line(f"{found}.append({each})")
                self.line(f"{target} = tuple({found})")
            case {"type": "map", "values": item}:
                (_, item_kind) = _arguments(kind, dict)
                name, each = self._local("name"), self._local("item")
                self.line(f"{target} = {{}}")
                with self._reading_blocks():
                    self.read("string", str, name)
                    self.read(item, item_kind, each)
                    self.line(f"{target}[{name}] = {each}")
            case "string":
                self._read_sized(target, ".decode()")
            case "bytes":
                self._read_sized(target, "")
            case "long":
                with self._block(f"if ({target} := SMALL[data[at]]) is not None:"):
                    self.line("at += 1")
                with self._block(f"elif ({target} := TIME[data[at:at + 6]]) is not None:"):
                    self.line("at += 6")
                with self._block("else:"):
                    self.line(f"{target}, at = read_long(data, at)")
            case "boolean":
                self.line(f"{target} = {self._constant({0: False, 1: True})}[data[at]]; at += 1")
            case other:
                raise TypeError(f"no codec for {other!r}")

    def skip(self, schema: Any) -> None:
        """Lines that move `at` on over what is there."""
        match self._resolved(schema):
            case [_, _] as branches:
                absent = branches.index("null")
                branch = self._local("branch")
                self.line(f"{branch} = data[at]; at += 1")
                with self._block(f"if {branch} != {absent * 2}:"):
                    self.skip(branches[1 - absent])
            case {"type": "record", "fields": fields}:
                for field in fields:
                    self.skip(field["type"])
            case {"type": "array", "items": item}:
                with self._reading_blocks("skip_block"):
                    self.skip(item)
            case {"type": "map", "values": item}:
                with self._reading_blocks("skip_block"):
                    self.skip("string")
                    self.skip(item)
            case "string" | "bytes":
                self.line("size = data[at]")
                with self._block("if size & 129:"):
                    self.line("size, at = read_size(data, at)")
                    self.line("at += size")
                with self._block("else:"):
                    self.line("at += 1 + (size >> 1)")
            case "long":
                with self._block("while data[at] > 127:"):
                    self.line("at += 1")
                self.line("at += 1")
            case _:  # an enum or a boolean
                self.line("at += 1")

    def _write_optional(self, branches: list[Any], kind: Any, value: str, *, recurs: bool) -> None:
        absent = branches.index("null")
        present = self._resolved(branches[1 - absent])
        name = self._named(value)
        plain = isinstance(present, str)
        branch = partial(self._assigning, name) if plain else self._block
        with branch(f"if {name} is None:"):
            self._pieces.append(_literal(absent))
        with branch("else:"):
            self._pieces.append(_literal(1 - absent))
            self.write(present, kind, name, recurs=recurs)
        if plain:
            self._put(name)

    def _write_given(self, items: str) -> None:
        """One block with its size, so that a reader may pass over it in one step."""
        with self._block(f"if {items}:"):
            block = self._local("block")
            self.line(f"{block} = as_text(b''.join({items}))")
            self._put(f"LONG[-len({items})]", f"LONG[len({block})]", block)
        self._pieces.append(_literal(0))

    def _read_record(self, record: Mapping[str, Any], kind: Any, target: str) -> None:
        parts = [f"{name}={part}" for name, part in self._read_fields(record, kind)]
        self.line(f"{target} = {self._constant(kind)}({', '.join(parts)})")

    def _read_fields(self, record: Mapping[str, Any], kind: Any) -> Iterator[tuple[str, str]]:
        """Each field that is read, and the variable it is in."""
        for field, field_kind in _fields(record, kind):
            name = field["name"]
            if name in self._unread or f"{record['name']}.{name}" in self._unread:
                self.skip(field["type"])
                continue
            part = self._local(name)
            self._read_field(field, field_kind, part)
            yield name, part

    def _read_field(self, field: Mapping[str, Any], kind: Any, target: str) -> None:
        self.read(field["type"], kind, target)

    def _read_optional(self, branches: list[Any], kind: Any, target: str) -> None:
        absent = branches.index("null")
        branch = self._local("branch")
        self.line(f"{branch} = data[at]; at += 1")
        with self._block(f"if {branch} == {absent * 2}:"):
            self.line(f"{target} = None")
        with self._block(f"elif {branch} == {(1 - absent) * 2}:"):
            self.read(branches[1 - absent], kind, target)
        with self._block("else:"):
            self.line("raise ValueError('no such branch')")

    def _put(self, *expressions: str) -> None:
        self._pieces += [f"{{{expression}}}" for expression in expressions]

    def _put_pieces(self) -> None:
        """What was written since the last time, in one go."""
        if self._pieces:
            self.line(f'out.append(f"{"".join(self._pieces)}")')
            self._pieces.clear()

    def _read_sized(self, target: str, decode: str) -> None:
        """A slice beyond the end is short; the next read, or the caller at the end, sees it."""
        with self._block("if step := STEP[data[at]]:"):
            self.line(f"{target} = data[at + 1 : (at := at + step)]{decode}")
        with self._block("else:"):
            self.line("size, at = read_size(data, at)")
            self.line(f"{target} = data[at : (at := at + size)]{decode}")

    @contextmanager
    def _writing_blocks(self, value: str) -> Iterator[tuple[str, str]]:
        items, each = self._local("items"), self._local("item")
        self.line(f"{items} = {value}")
        with self._block(f"if {items}:"):
            self._put(f"LONG[len({items})]")
            yield items, each
        self._pieces.append(_literal(0))

    @contextmanager
    def _reading_blocks(self, read_count: str = "read_count") -> Iterator[None]:
        """No count is trusted: every item takes at least a byte, so the bytes end first."""
        count = self._local("count")
        self.line(f"{count} = data[at]; at += 1")
        with self._block(f"while {count}:"):
            with self._block(f"if {count} & 129:"):
                self.line(f"{count}, at = {read_count}(data, at - 1)")
            with self._block("else:"):
                self.line(f"{count} >>= 1")
            with self._block(f"for _ in range({count}):"):
                yield
            self.line(f"{count} = data[at]; at += 1")

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self._put_pieces()
        self.line(head)
        self._depth += 1
        yield
        self._put_pieces()
        self._depth -= 1

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

    def _local(self, stem: str) -> str:
        self._fresh += 1
        return f"{stem}_{self._fresh}"

    def _named(self, value: str) -> str:
        """A variable of its own that has the value of the expression."""
        if value.isidentifier():
            return value
        name = self._local("value")
        self.line(f"{name} = {value}")
        return name

    def _constant(self, value: Any) -> str:
        name = self._local("constant")
        self._names[name] = value
        return name

    def _resolved(self, schema: Any) -> Any:
        """Follow a name to its record or enum, and a logical type to what it is made of."""
        if isinstance(schema, str):
            return self._records.get(schema, schema)
        if isinstance(schema, dict):
            if "name" in schema:
                self._records[schema["name"]] = schema
            elif "logicalType" in schema:
                return schema["type"]
        return schema


class _PlainGenerator(_Generator):
    """Source text of a function that reads what is passed on."""

    def __init__(
        self, time: Callable[[int], Any], times: Collection[str], unread: Collection[str]
    ) -> None:
        super().__init__("data, at", unread)
        self._times = times
        self._within_times = False

        def of_six_bytes(data: bytes) -> Any:
            number = TIME[data]
            return None if number is None else time(number)

        self._names |= {"time": time, "TOLD": Remembered(of_six_bytes, most=MANY)}

    def read(self, schema: Any, kind: Any, target: str) -> None:
        said = isinstance(schema, dict) and schema.get("logicalType") == "timestamp-millis"
        if not said and not (self._within_times and schema == "long"):
            super().read(schema, kind, target)
            return
        with self._block(f"if ({target} := TOLD[data[at:at + 6]]) is None:"):
            self.line(f"{target}, at = read_long(data, at); {target} = time({target})")
        with self._block("else:"):
            self.line("at += 6")

    def _read_field(self, field: Mapping[str, Any], kind: Any, target: str) -> None:
        self._within_times = field["name"] in self._times
        super()._read_field(field, kind, target)
        self._within_times = False

    def _read_record(self, record: Mapping[str, Any], kind: Any, target: str) -> None:
        names, parts = zip(*self._read_fields(record, kind), strict=True)
        made = self._constant(msgspec.defstruct(record["name"], names, gc=False))
        self.line(f"{target} = {made}({', '.join(parts)})")


def _literal(number: int) -> str:
    """A small long within the text of a string."""
    return f"\\x{long_bytes(number).hex()}"


def _fields(record: Mapping[str, Any], struct: Any) -> list[tuple[Mapping[str, Any], Any]]:
    named = [field["name"] for field in record["fields"]]
    if not isinstance(struct, type) or not issubclass(struct, msgspec.Struct):
        raise TypeError(f"{record['name']} is a record, {struct} is not a struct")
    if named != list(struct.__struct_fields__):
        raise TypeError(f"{record['name']}: {named} in the schema, not so in the struct")
    hints = typing.get_type_hints(struct)
    return [(field, hints[field["name"]]) for field in record["fields"]]


def _symbols(symbols: list[str], kind: Any) -> list[enum.StrEnum]:
    if not issubclass(kind, enum.StrEnum) or symbols != [member.value for member in kind]:
        raise TypeError(f"{symbols} in the schema, not so in {kind}")
    return list(kind)


def _present(kind: Any) -> Any:
    """X of `X | None`."""
    if typing.get_origin(kind) not in (types.UnionType, typing.Union):
        raise TypeError(f"{kind} cannot be null, the schema can")
    (present,) = (part for part in typing.get_args(kind) if part is not type(None))
    return present


def _arguments(kind: Any, origin: type) -> tuple[Any, ...]:
    if typing.get_origin(kind) is not origin:
        raise TypeError(f"{kind} is not a {origin.__name__}")
    return typing.get_args(kind)


def _expect(kind: Any, found: type) -> None:
    if kind is not found:
        raise TypeError(f"{found.__name__} in the schema, {kind} in the struct")
