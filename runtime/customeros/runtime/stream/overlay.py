"""The state that a processor sees: what is staged, over what is decoded, over what is stored."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final, TypeVar

from customeros.runtime.stream.entries import Entries
from customeros.runtime.stream.model import Table
from customeros.runtime.stream.store import Store

T = TypeVar("T")

_ABSENT: Final = object()
_NONE: Final[Mapping[bytes, Any]] = {}
_Layer = dict[str, Entries[Any]]  # staged values by table; None: deleted
# Encoded size of the values kept decoded; as objects they take four to five times as much.
DECODED_BYTES: Final = 6 << 20


class Overlay:
    """
    State over a store, for one thread.

    `seal` closes the writes made so far and encodes each key once; they stay visible until
    `settle` says that the store has them. Writes made in between are the next to be sealed.
    """

    def __init__(self, store: Store, *, decoded_bytes: int = DECODED_BYTES) -> None:
        self._store = store
        self._open: _Layer = {}
        self._sealed: _Layer = {}
        self._sizes: dict[str, dict[bytes, int]] = {}
        self._tables: dict[str, Table[Any]] = {}
        self._decoded = _Decoded(decoded_bytes)

    def get(self, table: Table[T], key: bytes) -> T | None:
        for layer in (self._open, self._sealed):
            if (entries := layer.get(table.name)) is not None:
                value: Any = entries.values.get(key, _ABSENT)
                if value is not _ABSENT:
                    found: T | None = value
                    return found
        return self.get_many(table, (key,)).get(key)

    def get_many(self, table: Table[T], keys: Iterable[bytes]) -> dict[bytes, T]:
        opened, sealed = _values(self._open, table.name), _values(self._sealed, table.name)
        decoded = self._decoded.of(table.name)
        found: dict[bytes, T] = {}
        missing = []
        for key in keys:
            value: Any = opened.get(key, _ABSENT)
            if value is _ABSENT:
                value = sealed.get(key, _ABSENT)
                if value is _ABSENT:
                    value = decoded(key)
            if value is _ABSENT:
                missing.append(key)
            elif value is not None:
                found[key] = value
        if missing:
            stored = self._store.get_many([table.prefix + key for key in missing])
            for key, data in zip(missing, stored, strict=True):
                if data is not None:
                    found[key] = value = table.decode(data)
                    self._decoded.keep(table.name, key, value, len(data))
        return found

    def put(self, table: Table[T], key: bytes, value: T) -> None:
        self._stage(table, key, value)

    def delete(self, table: Table[T], key: bytes) -> None:
        self._stage(table, key, None)

    def scan(
        self, table: Table[T], prefix: bytes = b"", *, beyond: bytes = b"", limit: int | None = None
    ) -> Iterator[tuple[bytes, T]]:
        staged: dict[bytes, Any] = {}
        for layer in (self._sealed, self._open):
            if entries := layer.get(table.name):
                staged.update((key, entries.values[key]) for key in entries.keys(prefix, beyond))
        start = table.prefix + beyond if beyond else b""
        stored = self._store.scan(table.prefix + prefix, start)
        return self._merged(table, staged, stored, limit)

    def seal(self) -> dict[bytes, bytes | None]:
        """
        The writes since the last `seal`, by store key; None deletes.

        Raises:
            RuntimeError: what was sealed before has not settled.
        """
        if self._sealed:
            raise RuntimeError("sealed twice without settling")
        self._sealed, self._open = self._open, {}
        writes: dict[bytes, bytes | None] = {}
        for name, entries in self._sealed.items():
            table = self._tables[name]
            sizes = self._sizes[name] = {}
            for key, value in entries.values.items():
                if value is None:
                    writes[table.prefix + key] = None
                else:
                    data = writes[table.prefix + key] = table.encode(value)
                    sizes[key] = len(data)
        return writes

    def settle(self) -> None:
        """The store has what was sealed; it need not be kept above it any longer."""
        for name, entries in self._sealed.items():
            sizes = self._sizes[name]
            for key, value in entries.values.items():
                if value is None:
                    self._decoded.forget(name, key)
                else:
                    self._decoded.keep(name, key, value, sizes[key])
        self._sealed = {}
        self._sizes = {}

    @property
    def remembered_bytes(self) -> int:
        """Encoded size of the values kept decoded."""
        return self._decoded.size

    def _stage(self, table: Table[Any], key: bytes, value: Any) -> None:
        entries = self._open.get(table.name)
        if entries is None:
            entries = self._open[table.name] = Entries()
            self._tables[table.name] = table
        entries.put(key, value)

    def _merged(
        self,
        table: Table[T],
        staged: Mapping[bytes, Any],
        stored: Iterator[tuple[bytes, bytes]],
        limit: int | None,
    ) -> Iterator[tuple[bytes, T]]:
        skip = len(table.prefix)
        decoded = self._decoded.of(table.name)
        below = ((key[skip:], data) for key, data in stored)
        seen = 0
        for key, data in heapq.merge(
            ((key, None) for key in sorted(staged)),
            ((key, data) for key, data in below if key not in staged),
            key=itemgetter(0),
        ):
            if seen == limit:
                return
            value = decoded(key) if data is not None else staged[key]
            if value is _ABSENT and data is not None:
                value = table.decode(data)
            if value is not None:
                seen += 1
                yield key, value


class _Decoded:
    """Decoded values, the least recently used half forgotten whenever the bound is reached."""

    def __init__(self, max_bytes: int) -> None:
        self._half = max_bytes // 2
        self._young_bytes = self._old_bytes = 0
        self._young: dict[str, dict[bytes, tuple[Any, int]]] = {}
        self._old: dict[str, dict[bytes, tuple[Any, int]]] = {}

    @property
    def size(self) -> int:
        return self._young_bytes + self._old_bytes

    def of(self, table: str) -> Callable[[bytes], Any]:
        """Look-up in *table*: the value, or _ABSENT."""

        def look_up(key: bytes) -> Any:
            if (found := self._young.get(table, _NONE).get(key)) is not None:
                return found[0]
            if (found := self._old.get(table, _NONE).get(key)) is not None:
                self.keep(table, key, *found)
                return found[0]
            return _ABSENT

        return look_up

    def keep(self, table: str, key: bytes, value: Any, size: int) -> None:
        young = self._young.get(table)
        if young is None:
            young = self._young[table] = {}
        before = young.get(key)
        young[key] = (value, size)
        self._young_bytes += size if before is None else size - before[1]
        if self._young_bytes > self._half:
            self._old, self._young = self._young, {}
            self._old_bytes, self._young_bytes = self._young_bytes, 0

    def forget(self, table: str, key: bytes) -> None:
        if (found := self._young.get(table, {}).pop(key, None)) is not None:
            self._young_bytes -= found[1]
        if (found := self._old.get(table, {}).pop(key, None)) is not None:
            self._old_bytes -= found[1]


def _values(layer: _Layer, table: str) -> Mapping[bytes, Any]:
    entries = layer.get(table)
    return _NONE if entries is None else entries.values
