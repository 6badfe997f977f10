"""How much may be under way at once? As much as memory holds, and as is answered in good time."""

from __future__ import annotations

import math
import threading
from typing import Final

# A client waits at most about twice as long for its answer; beyond, it is told to come back.
_GOOD_SECONDS: Final = 0.5
_FIRST_WINDOW_BYTES: Final = 2 << 20
# So that a handful of connections that send large batches are never turned away.
_LEAST_WINDOW_BYTES: Final = 1 << 20


class Overloaded(Exception):
    """More is under way than may be; the client is to come back in `retry_after` seconds."""

    retry_after: Final = 1


class Allowance:
    """How many bytes may be under way at once; taken from one thread, given back from any."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        return self._taken

    def take(self, size: int) -> None:
        """
        Raises:
            Overloaded: so much is not left.
        """
        with self._lock:
            if self._taken + size > self._limit:
                raise Overloaded
            self._taken += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._taken -= size


class Window:
    """
    How many bytes may wait for their acknowledgement at once: as many as get it in good time.

    It halves when that takes too long, at most once while one request is under way, and grows
    while it is what limits; so it finds what this machine and this broker can do, as TCP does.

    Args:
        most: it never grows beyond.
    """

    def __init__(self, most: int) -> None:
        self._least = min(_LEAST_WINDOW_BYTES, most)
        self._most = most
        self._taken = 0
        self.size = min(_FIRST_WINDOW_BYTES, most)
        self._halved_at = -math.inf

    @property
    def full(self) -> bool:
        return self._taken >= self.size

    def take(self, size: int) -> None:
        self._taken += size

    def give_back(self, size: int, *, at: float, seconds: float) -> None:
        """*size* bytes waited for *seconds* until *at*, acknowledged or not."""
        if seconds > _GOOD_SECONDS:
            if at - seconds > self._halved_at:
                self._halved_at = at
                self.size = max(self._least, self.size // 2)
        elif 2 * self._taken > self.size:
            self.size = min(self._most, self.size + size)
        self._taken -= size
