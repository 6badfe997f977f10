"""Has the graph taken what it was told?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio

T = TypeVar("T")

_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02


async def once_taken(look: Callable[[], T | None]) -> T | None:
    """What *look* finds as soon as it does; None: nothing yet, though that took 5 s."""
    found: T | None = None
    with anyio.move_on_after(_SECONDS):
        while (found := look()) is None:
            await anyio.sleep(_LOOK_SECONDS)
    return found
