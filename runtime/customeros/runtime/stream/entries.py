"""A dictionary over bytes that also answers prefixes in key order, and pays only where asked."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Generic, TypeVar

V = TypeVar("V")


class Entries(Generic[V]):
    """Keys in no order until `keys` is asked; from then on the order is kept up."""

    __slots__ = ("_order", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, V] = {}
        self._order: list[bytes] | None = None

    def put(self, key: bytes, value: V) -> None:
        """Set the value at *key*."""
        if self._order is not None and key not in self.values:
            insort(self._order, key)
        self.values[key] = value

    def remove(self, key: bytes) -> None:
        """Leave nothing at *key*; harmless where nothing is."""
        if key in self.values:
            del self.values[key]
            if self._order is not None:
                del self._order[bisect_left(self._order, key)]

    def keys(self, prefix: bytes, beyond: bytes = b"") -> list[bytes]:
        """The keys that start with *prefix* and come after *beyond*, ascending, as of now."""
        if self._order is None:
            self._order = sorted(self.values)
        end = after(prefix)
        stop = len(self._order) if end is None else bisect_left(self._order, end)
        start = bisect_left(self._order, prefix)
        return self._order[
            max(start, bisect_right(self._order, beyond)) if beyond else start : stop
        ]


def after(prefix: bytes) -> bytes | None:
    """The least key that is greater than every key with *prefix*; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
