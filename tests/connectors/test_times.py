"""When something happened, of four times of which any may be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.connectors.segment.times import read_time, reckon
from support.collecting import NOW

_MINUTE = 60_000
_DAY = 86_400_000


def _occurred(**said: Any) -> int:
    given_ = {"timestamp": None, "original": None, "sent_at": None, **said}
    return reckon(received_at=NOW, **given_).occurred_at


def test_a_clock_that_is_wrong_is_corrected_by_how_far_it_is_off() -> None:
    """The client's clock is an hour behind; it happened five minutes before it was sent."""
    sent = NOW - 60 * _MINUTE

    assert _occurred(original=sent - 5 * _MINUTE, sent_at=sent) == NOW - 5 * _MINUTE


def test_a_clock_more_than_a_day_off_is_a_request_kept_and_is_not_corrected() -> None:
    sent = NOW - 2 * _DAY

    assert _occurred(original=sent, sent_at=sent, timestamp=sent) == sent
    assert _occurred(original=sent, sent_at=sent) == sent


def test_a_timestamp_is_taken_as_it_is() -> None:
    """Imports of old events say when these were, and when they were sent."""
    assert _occurred(timestamp=NOW - 365 * _DAY, sent_at=NOW - 3 * _MINUTE) == NOW - 365 * _DAY


def test_what_says_no_time_happened_when_it_came() -> None:
    assert _occurred() == NOW
    assert _occurred(timestamp="yesterday", sent_at="", original=True) == NOW


def test_nothing_happens_later_than_five_minutes_from_now_or_before_1970() -> None:
    assert _occurred(timestamp="9999-12-31T23:59:59Z") == NOW + 5 * _MINUTE
    assert _occurred(timestamp=NOW + 4 * _MINUTE) == NOW + 4 * _MINUTE
    assert _occurred(timestamp="0001-01-01T00:00:00Z") == 0


def test_the_times_that_it_came_from_are_kept_within_what_stores_can_hold() -> None:
    times = reckon(
        received_at=NOW, timestamp="9999-12-31", original="0001-01-01T00:00:00+14:00", sent_at=5
    )

    assert times.timestamp == 7_258_118_399_999  # the end of 2199
    assert times.original_timestamp == 0
    assert times.sent_at == 5_000


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2024-05-06T07:08:09.123+02:00", 1_714_972_089_123),
        ("2024-05-06T05:08:09.123Z", 1_714_972_089_123),
        ("2024-05-06T05:08:09.123456789", 1_714_972_089_123),
        ("2024-05-06 05:08:09", 1_714_972_089_000),
        ("20240506", 1_714_953_600_000),
        (1_714_972_089, 1_714_972_089_000),
        (1_714_972_089_123, 1_714_972_089_123),
        ("", None),
        ("2024-13-01", None),
        ("9" * 10_000, None),
        ([], None),
    ],
)
def test_times_are_read_as_iso_or_as_numbers(said: object, expected: int | None) -> None:
    assert read_time(said) == expected


@given(
    *(st.none() | st.text(max_size=30) | st.integers() | st.datetimes().map(str) for _ in range(3))
)
def test_any_times_give_one_within_bounds(timestamp: Any, original: Any, sent_at: Any) -> None:
    times = reckon(received_at=NOW, timestamp=timestamp, original=original, sent_at=sent_at)

    assert 0 <= times.occurred_at <= NOW + 5 * _MINUTE
