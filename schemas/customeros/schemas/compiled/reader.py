"""The readers of a struct: lines that take its Avro apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from customeros.schemas.avro_values import MANY, TIME, long_bytes
from customeros.schemas.compiled.text import Text, arguments_of, fields_of, present_of, symbols_of
from customeros.schemas.remembered import Remembered


class Reader(Text):
    """
    `read` appends the lines for one schema node.

    Args:
        unread: fields, at any depth or `Record.field`, that are passed over.
    """

    def __init__(self, unread: Collection[str]) -> None:
        super().__init__("data, at")
        self._unread = unread

    def compiled(
        self, record: Mapping[str, Any], kind: Any
    ) -> Callable[[bytes, int], tuple[Any, int]]:
        """The reader of *kind* by the schema *record*."""
        self.read(record, kind, "value")
        return self.function("value, at")

    def read(self, schema: Any, kind: Any, target: str) -> None:
        """Lines that assign what is at `at` to the variable *target* and move `at` on."""
        match self.resolved(schema):
            case [_, _] as branches:
                self._read_optional(branches, present_of(kind), target)
            case {"type": "record"} as record:
                self._read_record(record, kind, target)
            case {"type": "enum", "symbols": symbols}:
                # Fewer than 64 symbols, so the index is one byte.
                coded = {long_bytes(n)[0]: s for n, s in enumerate(symbols_of(symbols, kind))}
                self.line(f"{target} = {self.constant(coded)}[data[at]]; at += 1")
            case {"type": "array", "items": item}:
                (item_kind, _) = arguments_of(kind, tuple)
                found, each = self.local("items"), self.local("item")
                self.line(f"{found} = []")
                with self._reading_blocks():
                    self.read(item, item_kind, each)
                    self.line(f"{found}.append({each})")
                self.line(f"{target} = tuple({found})")
            case {"type": "map", "values": item}:
                (_, item_kind) = arguments_of(kind, dict)
                name, each = self.local("name"), self.local("item")
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
                with self.block(f"if ({target} := SMALL[data[at]]) is not None:"):
                    self.line("at += 1")
                with self.block(f"elif ({target} := TIME[data[at:at + 6]]) is not None:"):
                    self.line("at += 6")
                with self.block("else:"):
                    self.line(f"{target}, at = read_long(data, at)")
            case "boolean":
                self.line(f"{target} = {self.constant({0: False, 1: True})}[data[at]]; at += 1")
            case other:
                raise TypeError(f"no codec for {other!r}")

    def skip(self, schema: Any) -> None:
        """Lines that move `at` on over what is there."""
        match self.resolved(schema):
            case [_, _] as branches:
                absent = branches.index("null")
                branch = self.local("branch")
                self.line(f"{branch} = data[at]; at += 1")
                with self.block(f"if {branch} != {absent * 2}:"):
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
                with self.block("if size & 129:"):
                    self.line("size, at = read_size(data, at)")
                    self.line("at += size")
                with self.block("else:"):
                    self.line("at += 1 + (size >> 1)")
            case "long":
                with self.block("while data[at] > 127:"):
                    self.line("at += 1")
                self.line("at += 1")
            case _:  # an enum or a boolean
                self.line("at += 1")

    def _read_record(self, record: Mapping[str, Any], kind: Any, target: str) -> None:
        parts = [f"{name}={part}" for name, part in self._read_fields(record, kind)]
        self.line(f"{target} = {self.constant(kind)}({', '.join(parts)})")

    def _read_fields(self, record: Mapping[str, Any], kind: Any) -> Iterator[tuple[str, str]]:
        """Each field that is read, and the variable it is in."""
        for field, field_kind in fields_of(record, kind):
            name = field["name"]
            if name in self._unread or f"{record['name']}.{name}" in self._unread:
                self.skip(field["type"])
                continue
            part = self.local(name)
            self._read_field(field, field_kind, part)
            yield name, part

    def _read_field(self, field: Mapping[str, Any], kind: Any, target: str) -> None:
        self.read(field["type"], kind, target)

    def _read_optional(self, branches: list[Any], kind: Any, target: str) -> None:
        absent = branches.index("null")
        branch = self.local("branch")
        self.line(f"{branch} = data[at]; at += 1")
        with self.block(f"if {branch} == {absent * 2}:"):
            self.line(f"{target} = None")
        with self.block(f"elif {branch} == {(1 - absent) * 2}:"):
            self.read(branches[1 - absent], kind, target)
        with self.block("else:"):
            self.line("raise ValueError('no such branch')")

    def _read_sized(self, target: str, decode: str) -> None:
        """A slice beyond the end is short; the next read, or the caller at the end, sees it."""
        with self.block("if step := STEP[data[at]]:"):
            self.line(f"{target} = data[at + 1 : (at := at + step)]{decode}")
        with self.block("else:"):
            self.line("size, at = read_size(data, at)")
            self.line(f"{target} = data[at : (at := at + size)]{decode}")

    @contextmanager
    def _reading_blocks(self, read_count: str = "read_count") -> Iterator[None]:
        """No count is trusted: every item takes at least a byte, so the bytes end first."""
        count = self.local("count")
        self.line(f"{count} = data[at]; at += 1")
        with self.block(f"while {count}:"):
            with self.block(f"if {count} & 129:"):
                self.line(f"{count}, at = {read_count}(data, at - 1)")
            with self.block("else:"):
                self.line(f"{count} >>= 1")
            with self.block(f"for _ in range({count}):"):
                yield
            self.line(f"{count} = data[at]; at += 1")


class PlainReader(Reader):
    """For those who pass a value on as JSON: a time is what *time* says."""

    def __init__(
        self, time: Callable[[int], Any], times: Collection[str], unread: Collection[str]
    ) -> None:
        super().__init__(unread)
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
        with self.block(f"if ({target} := TOLD[data[at:at + 6]]) is None:"):
            self.line(f"{target}, at = read_long(data, at); {target} = time({target})")
        with self.block("else:"):
            self.line("at += 6")

    def _read_field(self, field: Mapping[str, Any], kind: Any, target: str) -> None:
        self._within_times = field["name"] in self._times
        super()._read_field(field, kind, target)
        self._within_times = False

    def _read_record(self, record: Mapping[str, Any], kind: Any, target: str) -> None:
        names, parts = zip(*self._read_fields(record, kind), strict=True)
        made = self.constant(msgspec.defstruct(record["name"], names, gc=False))
        self.line(f"{target} = {made}({', '.join(parts)})")
