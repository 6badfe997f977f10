"""One batch is written while the next one gathers: when, and what is said to be done."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import ClickHouse
from customeros.schemas.topics import RESOLVED
from customeros.sinks.clickhouse.inserts import Pending, Target
from customeros.sinks.clickhouse.lane import Lane
from customeros.sinks.clickhouse.tables import Table
from support.batches import FakeTarget, a_record

_SETTINGS = ClickHouse(flush_seconds=0.25, batch_rows=4)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class SlowTarget(FakeTarget):
    """Takes as long as the clock is told to go on."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def insert(self, table: Table, rows: Sequence[Pending]) -> None:
        super().insert(table, rows)
        self._clock.now += self._seconds


class HeldTarget(FakeTarget):
    """Does not answer until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def insert(self, table: Table, rows: Sequence[Pending]) -> None:
        assert self.released.wait(30)
        super().insert(table, rows)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held() -> Iterator[HeldTarget]:
    target = HeldTarget()
    yield target
    target.released.set()


def a_lane(target: Target, clock: Clock, *, factor: float = 1, pause: float = 0) -> Lane:
    return Lane(target, _SETTINGS, wait_factor=factor, pause_seconds=pause, clock=clock)


def test_a_record_waits_for_others_and_many_for_none(clock: Clock) -> None:
    with closing(a_lane(FakeTarget(), clock)) as lane:
        assert lane.due_at(behind=False) == math.inf

        lane.add(a_record(0))
        clock.now += 0.1
        lane.add(a_record(1))
        assert lane.due_at(behind=False) == pytest.approx(100.25)
        assert lane.due_at(behind=True) == pytest.approx(102.5)

        lane.add(a_record(2))
        lane.add(a_record(3))
        assert lane.is_full
        assert lane.due_at(behind=True) <= clock.now


@pytest.mark.parametrize(
    ("took", "factor", "pause", "due_at"),
    [
        # From 100 on a batch is written, and its end comes so much later.
        (0.0, 1, 0.0, 100.25),
        (0.2, 1, 0.0, 100.45),
        (0.5, 1, 0.0, 101.0),
        (0.5, 3, 0.0, 102.0),
        (9.0, 1, 0.0, 111.5),
        (0.2, 1, 1.0, 101.0),
        (2.0, 1, 1.0, 104.0),
    ],
)
def test_a_batch_waits_the_longer_the_last_one_took(
    clock: Clock, took: float, factor: float, pause: float, due_at: float
) -> None:
    """At most ten times as long as where nothing is slow; and for the pause, from its begin on."""
    lane = a_lane(SlowTarget(clock, took), clock, factor=factor, pause=pause)
    with closing(lane):
        lane.add(a_record(0))
        assert lane.finish().seconds == pytest.approx(took)

        lane.add(a_record(1))

        assert lane.due_at(behind=False) == pytest.approx(due_at)


def test_the_next_batch_gathers_while_one_is_written(clock: Clock, held: HeldTarget) -> None:
    with closing(a_lane(held, clock)) as lane:
        lane.add(a_record(0))
        lane.begin()
        lane.add(a_record(1))
        assert lane.due_at(behind=False) == math.inf

        held.released.set()
        first, second = lane.finish(), lane.finish()

        assert [each.batch.positions for each in (first, second)] == [
            {(RESOLVED, 0): 1},
            {(RESOLVED, 0): 2},
        ]
        assert lane.is_empty


def test_what_was_written_for_a_partition_that_is_lost_is_not_committed(
    clock: Clock, held: HeldTarget
) -> None:
    with closing(a_lane(held, clock)) as lane:
        lane.add(a_record(5, partition=0))
        lane.add(a_record(9, partition=1))
        lane.begin()
        lane.add(a_record(6, partition=0))
        held.released.set()

        lane.drop([(RESOLVED, 0)])

        assert lane.finish().batch.positions == {(RESOLVED, 1): 10}
        assert lane.finish().batch.positions == {}
        assert held.inserted == [5, 9]


@given(st.lists(st.sampled_from(["add 0", "add 1", "begin", "finish", "away"]), max_size=60))
def test_what_is_said_to_be_done_is_written_and_all_is_in_the_end(steps: list[str]) -> None:
    """Once, in order, however often ClickHouse is away."""
    target, added, done = FakeTarget(), Counter[int](), Counter[int]()

    def finish() -> None:
        with suppress(Unavailable):
            for (_, partition), offset in lane.finish().batch.positions.items():
                done[partition] = offset
        for partition, offset in done.items():
            assert all(number in target.inserted for number in own(partition)[:offset])

    def own(partition: int) -> list[int]:
        return [partition * 1_000 + offset for offset in range(added[partition])]

    with closing(a_lane(target, Clock())) as lane:
        for step in steps:
            match step.split():
                case ["add", number]:
                    partition = int(number)
                    record = a_record(partition * 1_000 + added[partition], partition=partition)
                    lane.add(record)
                    lane.move_to((RESOLVED, partition), added[partition] + 1)
                    added[partition] += 1
                case ["begin"] if lane.writing is None and not lane.is_empty:
                    lane.begin()
                case ["finish"] if not lane.is_empty:
                    finish()
                case ["away"]:
                    target.away += 1
                case _:
                    pass
        while not lane.is_empty:
            finish()
    assert done == added
    for partition in (0, 1):
        assert [n for n in target.inserted if n // 1_000 == partition] == own(partition)
