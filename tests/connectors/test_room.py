"""More is taken only while it is answered in good time."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from customeros.connectors.room import Window

MOST = 64 << 20
REQUEST = 1 << 16
IN_TIME, LATE = 0.1, 2.0


def filled(window: Window) -> int:
    """Take until it is full: how many requests that were."""
    count = 0
    while not window.full:
        window.take(REQUEST)
        count += 1
    return count


def test_an_empty_window_has_room_for_any_request() -> None:
    window = Window(REQUEST)

    assert not window.full
    window.take(100 * REQUEST)
    assert window.full


def test_late_acknowledgements_halve_it_once_for_all_that_was_under_way() -> None:
    window = Window(MOST)
    window.size = before = MOST // 4
    count = filled(window)

    for _ in range(count):
        window.give_back(REQUEST, at=LATE, seconds=LATE)
    assert window.size == before // 2

    window.take(REQUEST)
    window.give_back(REQUEST, at=3 * LATE, seconds=LATE)
    assert window.size == before // 4


def test_it_grows_only_while_it_is_what_limits() -> None:
    window = Window(MOST)
    before = window.size

    for second in range(1_000):
        window.take(REQUEST)
        window.give_back(REQUEST, at=second, seconds=IN_TIME)
    assert window.size == before

    filled(window)
    window.give_back(REQUEST, at=1_001, seconds=IN_TIME)
    assert window.size == before + REQUEST


@given(st.floats(0.0001, 0.1))
def test_it_finds_what_can_be_answered_in_time(seconds_each: float) -> None:
    """Requests without end, answered one after the other: nobody waits for long, nobody idles."""
    window = Window(MOST)
    now = 0.0
    begun: deque[float] = deque()
    waits = []
    for _ in range(3_000):
        while not window.full:
            window.take(REQUEST)
            begun.append(now)
        now += seconds_each
        waits.append(now - begun[0])
        window.give_back(REQUEST, at=now, seconds=now - begun.popleft())

    assert begun
    assert max(waits[-1_000:]) <= 1.2 + 18 * seconds_each
