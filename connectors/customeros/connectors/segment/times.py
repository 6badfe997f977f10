"""When something happened, of the four times that a call comes with. All times in ms, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Clients' clocks are kept within what every store can hold: 1970 to 2199.
_LATEST: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000) - 1
# More than a day is no clock gone wrong but a request kept, or a recording played.
_BELIEVABLE_SKEW: Final = 86_400_000
# Clocks of honest clients run ahead a little.
_AHEAD: Final = 300_000
_LONGEST_TEXT: Final = 64
# Numbers below are seconds (to the year 5138), above milliseconds (from 1973).
_SECONDS_BELOW: Final = 100_000_000_000


class Times(NamedTuple):
    """`occurred_at` by our best knowledge, and what it came from."""

    occurred_at: int
    timestamp: int | None
    original_timestamp: int | None
    sent_at: int | None


def reckon(*, received_at: int, timestamp: object, original: object, sent_at: object) -> Times:
    """
    The times of one call, each given as it came.

    The client's clock is corrected by how far its `sentAt` is from ours, where it says both
    when it happened and when it was sent; what cannot be read counts as absent.
    """
    said, first, sent = read_time(timestamp), read_time(original), read_time(sent_at)
    if first is not None and sent is not None and abs(received_at - sent) <= _BELIEVABLE_SKEW:
        occurred = received_at - (sent - first)
    elif said is not None:
        occurred = said
    else:
        occurred = received_at if first is None else first
    return Times(max(0, min(occurred, received_at + _AHEAD)), said, first, sent)


def read_time(value: object) -> int | None:
    """ISO 8601 (without offset: UTC), or seconds or milliseconds since 1970; None: unreadable."""
    if value is None:
        return None
    if isinstance(value, str):
        return _read_iso(value) if len(value) <= _LONGEST_TEXT else None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    number = Decimal(value)
    return _bounded(int(number * 1000 if abs(number) < _SECONDS_BELOW else number))


@lru_cache(1024)  # `sentAt` is the same for all of a batch, and `timestamp` often
def _read_iso(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    since = found - _EPOCH
    return _bounded(since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000)


def _bounded(ms: int) -> int:
    return max(0, min(ms, _LATEST))
