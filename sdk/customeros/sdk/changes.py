"""Who is told of a change: iterators that see each key's newest value, however slow they read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class Change(NamedTuple):
    """What a key holds now; None: it is gone."""

    key: bytes
    value: bytes | None


class Changes:
    """
    An iterator over changed keys; blocks until there is one, ends when closed.

    Raises what `look_up` raises, also at the end, so that a copy that died is not a quiet one.

    Several changes of one key that nobody has read yet are one change, so a slow reader costs at
    most the keys, never the records. `close()` may come from any thread and is harmless twice.
    """

    def __init__(
        self, look_up: Callable[[bytes], bytes | None], forget: Callable[[Changes], None]
    ) -> None:
        self._look_up = look_up
        self._forget = forget
        self._pending: dict[bytes, None] = {}
        self._wake = threading.Condition()
        self._closed = False

    def __iter__(self) -> Iterator[Change]:
        return self

    def __next__(self) -> Change:
        change = self.next(timeout=None)
        if change is None:
            self._look_up(b"")
            raise StopIteration
        return change

    def next(self, timeout: float | None) -> Change | None:
        """The next change within *timeout* seconds (None: for ever); None: there was none."""
        with self._wake:
            self._wake.wait_for(lambda: self._pending or self._closed, timeout)
            if not self._pending:
                return None
            key = next(iter(self._pending))
            del self._pending[key]
        return Change(key, self._look_up(key))

    def notify(self, keys: Iterable[bytes]) -> None:
        """These keys have changed."""
        with self._wake:
            self._pending.update(dict.fromkeys(keys))
            self._wake.notify_all()

    def close(self) -> None:
        """End the iteration after what is pending."""
        self._forget(self)
        with self._wake:
            self._closed = True
            self._wake.notify_all()
