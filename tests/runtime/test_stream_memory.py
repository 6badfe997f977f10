"""The pipeline in memory: every interleaving and crash that a seed can bring, and each again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.errors import Fenced
from customeros.runtime.partitioner import partition_of
from customeros.runtime.stream.memory import InMemoryBroker, InMemoryPipeline
from customeros.schemas.topics import Topic
from support.counting import COUNTED, COUNTS, LEFT, RIGHT, STAGE, Count, Counting

INPUTS = st.lists(
    st.tuples(st.sampled_from((LEFT, RIGHT)), st.integers(0, 3), st.integers(0, 99)), max_size=40
)


def run(
    inputs: list[tuple[Topic, int, int]], *, seed: int, partitions: int, crashes: float
) -> InMemoryPipeline:
    order = random.Random(seed)
    pipeline = InMemoryPipeline([Counting()], partitions=partitions)
    for topic, key, value in inputs:
        pipeline.produce(topic, b"%d" % key, b"%d" % value)
        if order.random() < 0.1:
            pipeline.run(order, crashes=crashes)
    pipeline.run(order, crashes=crashes)
    return pipeline


@given(INPUTS, st.integers(0, 2**32), st.sampled_from((1, 3, 16)), st.sampled_from((0.0, 0.3)))
def test_no_order_and_no_crash_loses_or_repeats_anything(
    inputs: list[tuple[Topic, int, int]], seed: int, partitions: int, crashes: float
) -> None:
    pipeline = run(inputs, seed=seed, partitions=partitions, crashes=crashes)

    found: dict[bytes, list[Count]] = {}
    for record in pipeline.records(COUNTED):
        found.setdefault(record.key or b"", []).append(COUNTS.decode(record.value or b""))
    for key, counts in found.items():
        mine = [value for _, number, value in inputs if b"%d" % number == key]
        assert [count.number for count in counts] == list(range(1, len(mine) + 1))
        assert counts[-1].total == sum(mine)
    assert len(pipeline.records(COUNTED)) == len(inputs)


def test_the_same_seed_gives_the_same_history() -> None:
    inputs: list[tuple[Topic, int, int]] = [(LEFT, n % 4, n) for n in range(60)]

    first, second = (run(inputs, seed=3, partitions=4, crashes=0.2) for _ in range(2))

    assert first.records(COUNTED) == second.records(COUNTED)
    assert first.now == second.now


def test_without_an_order_everybody_takes_turns() -> None:
    pipeline = InMemoryPipeline([Counting()], partitions=2)
    for number in range(1200):
        pipeline.produce(LEFT, b"k", b"%d" % number)

    pipeline.run()

    assert COUNTS.decode(pipeline.latest(COUNTED)[b"k"]) == Count(1200, sum(range(1200)))
    assert all(worker.is_idle for worker in pipeline.workers(STAGE))


def test_latest_is_what_compaction_leaves() -> None:
    pipeline = InMemoryPipeline([Counting()])
    for value in (b"1", b"2", None):
        pipeline.produce(LEFT, b"gone", value)
    pipeline.produce(LEFT, b"here", b"1")

    pipeline.run()

    assert list(pipeline.latest(COUNTED)) == [b"here"]


def test_a_record_is_in_its_keys_partition() -> None:
    broker = InMemoryBroker(partitions=5)

    partition, offset = broker.produce(LEFT, b"key", b"value", 0)

    assert (partition, offset) == (partition_of(b"key", 5), 0)


def test_only_the_last_to_fence_can_commit() -> None:
    """A paused owner that wakes finds its epoch gone, and nothing of its transaction is there."""
    broker = InMemoryBroker(partitions=1)
    sleeper = broker.fence("stage-0")
    successor = broker.fence("stage-0")

    with pytest.raises(Fenced):
        broker.commit("stage-0", sleeper, [(COUNTED, b"k", b"old", None)], 0)
    broker.commit("stage-0", successor, [(COUNTED, b"k", b"new", None)], 0)

    assert [record.value for record in broker.read(COUNTED, 0, 0, 9)] == [b"new"]


def test_a_transaction_leaves_a_gap_in_the_offsets() -> None:
    """As Kafka's markers do; whoever counts on offsets without gaps is found out here."""
    broker = InMemoryBroker(partitions=1)
    epoch = broker.fence("stage-0")

    for value in (b"1", b"2"):
        broker.commit("stage-0", epoch, [(COUNTED, b"k", value, None)], 0)

    assert [record.offset for record in broker.read(COUNTED, 0, 0, 9)] == [0, 2]
