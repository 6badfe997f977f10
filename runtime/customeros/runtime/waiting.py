"""Wait for what nobody tells: a topic that comes or goes, a dependency that is back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from customeros.runtime.errors import Unavailable

T = TypeVar("T")

_LOG: Final = structlog.get_logger()


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


def once_available(ask: Callable[[], T], *, away: Callable[[], object] = lambda: None) -> T:
    """What *ask* answers, once its dependency does; each time that it does not, *away* is told."""
    while True:
        try:
            return ask()
        except Unavailable as error:
            _LOG.warning(f"{error.dependency}_unavailable", retry_seconds=error.retry_after)
            away()
            time.sleep(error.retry_after)
