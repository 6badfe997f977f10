"""Records that are to be forgotten some day: which, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from customeros.runtime.stream import State, Table

_PER_BATCH: Final = 100


def _same(value: bytes) -> bytes:
    return value


class Tombstones:
    """
    A table of keys by the time at which they are due.

    Args:
        table: its name; never changed once released.
    """

    def __init__(self, table: str) -> None:
        # By due time in eight bytes and the key, which is the value too.
        self._table: Final = Table(table, _same, _same)

    def plan(self, state: State, key: bytes, *, planned: int, due: int) -> int:
        """Plan *key* for *due* in place of *planned*, ms; 0 is never. Returns *due*."""
        if planned:
            state.delete(self._table, planned.to_bytes(8, "big") + key)
        if due:
            state.put(self._table, due.to_bytes(8, "big") + key, key)
        return due

    def due(self, state: State, now: int) -> Iterator[bytes]:
        """Take the keys that are due by *now*; a bounded number at a time."""
        for row, key in list(state.scan(self._table, limit=_PER_BATCH)):
            if int.from_bytes(row[:8], "big") > now:
                break
            state.delete(self._table, row)
            yield key
