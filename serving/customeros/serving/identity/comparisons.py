"""The newest comparison of each workspace's customers, made anew when asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from customeros.runtime.errors import Unavailable
from customeros.serving.identity.comparing import Compared

# A comparison serves so many times as long as it took: at most a twentieth of a core is spent.
_WORTH: Final = 20
_FAILED_SECONDS: Final = 5.0

Compare = Callable[[str, str | None], Compared]


class Comparison(NamedTuple):
    """
    Args:
        as_of: customers are compared as they were then or later, ms.
        seconds: that it took.
    """

    as_of: int
    seconds: float
    found: Compared

    def fresh(self, now: int) -> bool:
        return now - self.as_of < 1000 * self.seconds * (1 + _WORTH)


class Comparisons:
    """
    One at a time, in a thread that waits for it; asking never blocks.

    Args:
        compare: the customers of a workspace; blocks.
        now: ms.
    """

    def __init__(
        self, compare: Compare, now: Callable[[], int] = lambda: int(time.time() * 1000)
    ) -> None:
        self.now = now
        self._compare = compare
        self._one = threading.Lock()
        self._state = threading.Lock()
        self._running: set[str] = set()
        self._last: dict[str, Comparison] = {}
        self._failed: dict[str, int] = {}

    def last(self, workspace: str) -> Comparison | None:
        """The newest there is."""
        return self._last.get(workspace)

    def begin(self, workspace: str, consent: str | None) -> None:
        """
        Compare anew, unless that is going on.

        Raises:
            Unavailable: the last attempt failed a moment ago.
        """
        with self._state:
            if self.now() - self._failed.get(workspace, 0) < 1000 * _FAILED_SECONDS:
                raise Unavailable("the comparison of customers", retry_after=_FAILED_SECONDS)
            if workspace in self._running:
                return
            self._running.add(workspace)
        threading.Thread(target=self._run, args=(workspace, consent), daemon=True).start()

    def _run(self, workspace: str, consent: str | None) -> None:
        try:
            with self._one:
                as_of, began = self.now(), time.perf_counter()
                found = self._compare(workspace, consent)
                self._last[workspace] = Comparison(as_of, time.perf_counter() - began, found)
                self._failed.pop(workspace, None)
        except Unavailable:
            self._failed[workspace] = self.now()
            structlog.get_logger().warning("comparison_failed", workspace=workspace)
        finally:
            with self._state:
                self._running.discard(workspace)
