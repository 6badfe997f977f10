"""What the runtime promises of delivery, in memory and on Kafka under Faust alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from customeros.runtime.stream.memory import InMemoryPipeline, Stored
from customeros.schemas.codec import DEAD_LETTER
from customeros.schemas.topics import DEAD_LETTERS, Topic
from support.counting import COUNTED, COUNTS, LEFT, RIGHT, STAGE, Count, Counting


class Pipeline(Protocol):
    """One stage, `support.counting`, that a test may mistreat."""

    def produce(self, topic: Topic, key: bytes, value: bytes | None) -> None: ...
    def settle(self) -> None: ...
    def crash(self, *, lose_store: bool = False) -> None: ...
    def forget_offsets(self) -> None: ...
    def records(self, topic: Topic) -> list[Stored]: ...


class CountingInMemory:
    """The fake, with every interleaving that its seed brings."""

    def __init__(self) -> None:
        self._order = random.Random(11)
        self._pipeline = InMemoryPipeline([Counting()])
        self.produce = self._pipeline.produce
        self.records = self._pipeline.records

    def settle(self) -> None:
        self._pipeline.run(self._order)

    def crash(self, *, lose_store: bool = False) -> None:
        for worker in self._pipeline.workers(STAGE):
            worker.crash(self._order, lose_store=lose_store)

    def forget_offsets(self) -> None:
        for worker in self._pipeline.workers(STAGE):
            worker.rewind()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    if request.param == "memory":
        yield CountingInMemory()
        return
    from support.delivery import CountingOnKafka

    bootstrap, unique = (request.getfixturevalue(name) for name in ("kafka_bootstrap", "unique"))
    made = CountingOnKafka(bootstrap, unique, tmp_path)
    yield made
    made.stop()


def feed(pipeline: Pipeline, numbers: range) -> None:
    """One record for each number, over five keys and both sources."""
    for number in numbers:
        topic = LEFT if number % 2 else RIGHT
        pipeline.produce(topic, b"default/k%d" % (number % 5), b"%d" % number)


def counted(pipeline: Pipeline) -> dict[bytes, list[Count]]:
    """The outputs of each key, in order."""
    found: dict[bytes, list[Count]] = {}
    for record in pipeline.records(COUNTED):
        assert record.key is not None
        assert record.value is not None
        found.setdefault(record.key, []).append(COUNTS.decode(record.value))
    return found


def assert_exact(pipeline: Pipeline, numbers: range) -> None:
    """Each record of `feed` counted once, in one output each, and each key's outputs in order."""
    outputs = counted(pipeline)
    for last in range(5):
        mine = [number for number in numbers if number % 5 == last]
        counts = outputs[b"default/k%d" % last]
        assert [count.number for count in counts] == list(range(1, len(mine) + 1))
        assert counts[-1].total == sum(mine)


def test_every_record_counts_once_with_its_output_in_order(pipeline: Pipeline) -> None:
    feed(pipeline, range(200))

    pipeline.settle()

    assert_exact(pipeline, range(200))


def test_input_delivered_again_changes_nothing_and_is_not_answered_again(
    pipeline: Pipeline,
) -> None:
    """Each source has its own watermark, so a loss of the group's offsets costs only time."""
    feed(pipeline, range(100))
    pipeline.settle()

    pipeline.forget_offsets()
    feed(pipeline, range(100, 200))
    pipeline.settle()

    assert_exact(pipeline, range(200))


def test_a_lost_disk_is_made_good_from_the_changelog(pipeline: Pipeline) -> None:
    feed(pipeline, range(100))
    pipeline.settle()

    pipeline.crash(lose_store=True)
    feed(pipeline, range(100, 200))
    pipeline.settle()

    assert_exact(pipeline, range(200))


def test_a_record_that_cannot_be_decoded_is_a_dead_letter_and_stops_nobody(
    pipeline: Pipeline,
) -> None:
    """The letter has the record as it came and the place that it came from."""
    feed(pipeline, range(50))
    pipeline.produce(LEFT, b"default/k1", b"\xffnope")
    feed(pipeline, range(50, 100))

    pipeline.settle()

    (record,) = pipeline.records(DEAD_LETTERS)
    letter = DEAD_LETTER.decode(record.value or b"")
    assert (letter.key, letter.value) == (b"default/k1", b"\xffnope")
    assert (letter.workspace, letter.stage, letter.reason) == ("default", STAGE, "no_number")
    assert letter.origin.topic == LEFT.name
    origin = [found for found in pipeline.records(LEFT) if found.value == b"\xffnope"]
    assert [found.offset for found in origin] == [letter.origin.offset]
    assert_exact(pipeline, range(100))


def test_a_tombstone_reaches_the_processor_and_deleted_state_stays_deleted(
    pipeline: Pipeline,
) -> None:
    pipeline.produce(LEFT, b"default/k", b"5")
    pipeline.produce(LEFT, b"default/k", None)
    pipeline.settle()
    pipeline.crash(lose_store=True)
    pipeline.produce(LEFT, b"default/k", b"7")

    pipeline.settle()

    values = [record.value for record in pipeline.records(COUNTED)]
    assert values == [COUNTS.encode(Count(1, 5)), None, COUNTS.encode(Count(1, 7))]
