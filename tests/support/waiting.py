"""Wait for something to become true, with a deadline; beside the chaos runs, where tests sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from customeros.runtime.errors import Unavailable

_T = TypeVar("_T")


def until(
    condition: Callable[[], _T], *, seconds: float = 30, what: str = "", every: float = 0.02
) -> _T:
    """
    The first truthy value of `condition`, asked again every `every` seconds.

    What is `Unavailable` is not true yet: a broker that has just made a topic refuses for a moment.

    Args:
        what: what is waited for, for the failure's text.

    Raises:
        AssertionError: it was not true within `seconds`; what else `condition` raises goes through.
    """
    deadline = time.monotonic() + seconds
    while True:
        with suppress(Unavailable):
            if found := condition():
                return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(every)
