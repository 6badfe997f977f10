"""Wait for what nobody tells: a topic that comes or goes, a process that gets ready."""

from __future__ import annotations

import time
from collections.abc import Callable

from customeros.runtime.errors import Unavailable


def wait_until(holds: Callable[[], bool], *, seconds: float, every: float, missing: str) -> None:
    """
    Return once *holds* does; it is asked again and again, *every* so many seconds.

    Raises:
        Unavailable: it does not within *seconds*: *missing* is the dependency that does not act.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Unavailable(missing)
        time.sleep(every)
