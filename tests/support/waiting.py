"""Wait for something to become true, with a deadline; beside the chaos runs, where tests sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def until(
    condition: Callable[[], _T], *, seconds: float = 30, what: str = "", every: float = 0.02
) -> _T:
    """
    The first truthy value of `condition`, asked again every `every` seconds.

    Args:
        what: what is waited for, for the failure's text.

    Raises:
        AssertionError: it was not true within `seconds`; whatever `condition` raises goes through.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(every)
    return found
