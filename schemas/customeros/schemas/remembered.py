"""A function whose last results are remembered, at the price of a look-up in a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(dict[K, V]):
    """
    `remembered[key]` is *function* of the key; half as dear to ask as an `lru_cache`.

    What was not asked for while half of *most* others were new is forgotten. Threads may share it.
    """

    def __init__(self, function: Callable[[K], V], *, most: int) -> None:
        super().__init__()
        self._function = function
        self._half = most // 2
        self._before: dict[K, V] = {}

    def __missing__(self, key: K) -> V:
        if len(self) >= self._half:
            self._before = self.copy()
            self.clear()
        try:
            value = self._before[key]
        except KeyError:
            value = self._function(key)
        self[key] = value
        return value
