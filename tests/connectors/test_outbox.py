"""Records go in one batch for each partition, and are said to be there once they are."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from confluent_kafka import OFFSET_BEGINNING
from hypothesis import given
from hypothesis import strategies as st

from customeros.connectors.outbox import MAX_BATCH_BYTES, Outbox, Record, build_producer
from customeros.runtime.clients import consumer
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.event import Family
from customeros.schemas.topics import EVENTS
from support.collecting import kafka_settings

_PARTITIONS = 4


class _Producer(AIOKafkaProducer):  # type: ignore[misc]  # it has no types
    """
    One that answers for each batch with the next of *answers*, then well.

    Args:
        answers: the error that the batch ends with; None: it arrives.
    """

    def __init__(self, answers: Iterable[KafkaError | None] = ()) -> None:
        self.kept: defaultdict[TopicPartition, list[list[tuple[bytes, bytes]]]] = defaultdict(list)
        self._answers = iter(answers)

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(MAX_BATCH_BYTES, 0)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        error = next(self._answers, None)
        if error is None:
            self.kept[TopicPartition(topic, partition)].append(list(_records_in(batch._build())))
            answer.set_result(None)
        else:
            answer.set_exception(error)
        await asyncio.sleep(0)
        return answer

    async def stop(self) -> None:
        pass

    def __del__(self) -> None:
        pass


def _records_in(batch: bytearray) -> Iterator[tuple[bytes, bytes]]:
    for record in DefaultRecordBatch(bytes(batch)):
        yield record.key, record.value


_RECORDS = st.builds(
    Record,
    st.sampled_from(("events.a", "events.b")),
    st.sampled_from((b"1", b"2", b"3", b"4", b"5")),
    st.integers(0, 99).map(lambda number: b"%d" % number),
)
_TROUBLE = st.sampled_from((None, KafkaConnectionError(), MessageSizeTooLargeError()))


@given(
    st.lists(st.lists(_RECORDS, min_size=1, max_size=5), max_size=5), st.lists(_TROUBLE, max_size=9)
)
def test_who_is_told_that_all_arrived_has_all_there_once(
    calls: list[list[Record]], trouble: list[KafkaError | None]
) -> None:
    producer = _Producer(trouble)

    async def scenario() -> list[BaseException | None]:
        outbox = Outbox(producer, partitions=_PARTITIONS)
        waiting = []
        for records in calls:
            waiting.append(outbox.put(records))
            await asyncio.sleep(0)
        told = await asyncio.gather(*waiting, return_exceptions=True)
        await outbox.close()
        return told

    told = asyncio.run(scenario())

    kept = Counter(
        (place.topic, record)
        for place, batches in producer.kept.items()
        for batch in batches
        for record in batch
    )
    sent = Counter((r.topic, (r.key, r.value)) for records in calls for r in records)
    arrived = Counter(
        (r.topic, (r.key, r.value))
        for records, error in zip(calls, told, strict=True)
        if error is None
        for r in records
    )
    assert arrived <= kept <= sent
    assert all(error is None or isinstance(error, KafkaError) for error in told)


def test_what_waits_for_a_partition_goes_in_one_batch() -> None:
    producer = _Producer()

    async def scenario() -> None:
        outbox = Outbox(producer, partitions=_PARTITIONS)
        await asyncio.gather(*(outbox.put([Record("t", b"%d" % n, b"v")]) for n in range(40)))

    asyncio.run(scenario())

    assert len(producer.kept) == _PARTITIONS
    assert all(len(batches) == 1 for batches in producer.kept.values())


def test_what_comes_soon_after_a_request_began_goes_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And who comes when nothing was sent before waits for nobody."""
    apart, sleep = 3_600.0, asyncio.sleep
    monkeypatch.setattr("customeros.connectors.outbox._APART_SECONDS", apart)
    producer = _Producer()
    waits: list[float] = []
    hour_over = asyncio.Event()

    async def slept(seconds: float) -> None:
        if seconds > 0:
            waits.append(seconds)
            await hour_over.wait()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", slept)

    async def scenario() -> None:
        outbox = Outbox(producer, partitions=1)
        await outbox.put([Record("t", b"k", b"0")])
        assert len(producer.kept[TopicPartition("t", 0)]) == 1
        second = outbox.put([Record("t", b"k", b"1")])
        for _ in range(10):
            await asyncio.sleep(0)
        third = outbox.put([Record("t", b"k", b"2")])
        hour_over.set()
        await asyncio.gather(second, third)

    asyncio.run(scenario())

    (batches,) = producer.kept.values()
    assert [[value for _, value in batch] for batch in batches] == [[b"0"], [b"1", b"2"]]
    assert len(waits) == 1
    assert apart / 2 < waits[0] <= apart


@pytest.mark.parametrize("per_call", [1, 7])
def test_what_is_too_much_for_a_batch_goes_in_several_in_order(per_call: int) -> None:
    producer = _Producer()
    records = [Record("t", b"k", b"%d" % n + bytes(MAX_BATCH_BYTES // 3)) for n in range(7)]

    async def scenario() -> None:
        outbox = Outbox(producer, partitions=_PARTITIONS)
        calls = [records[n : n + per_call] for n in range(0, 7, per_call)]
        await asyncio.gather(*map(outbox.put, calls))

    asyncio.run(scenario())

    (batches,) = producer.kept.values()
    assert [value[:1] for batch in batches for _, value in batch] == [b"%d" % n for n in range(7)]
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]


@pytest.mark.integration
def test_a_broker_keeps_all_of_it_in_the_order_of_each_key(
    kafka_bootstrap: str, unique: str
) -> None:
    settings = kafka_settings(kafka_bootstrap, unique)
    ensure_topics(settings, EVENTS.values())
    topics = [prefixed(settings, EVENTS[family]) for family in Family]
    calls = [
        [Record(topics[n % 5], b"default/%d" % (n % 7), b"%d" % n) for n in range(first, first + 9)]
        for first in range(0, 900, 9)
    ]

    async def scenario() -> None:
        producer = build_producer(settings, request_seconds=30)
        await producer.start()
        outbox = Outbox(producer, partitions=settings.kafka.partitions)
        await asyncio.gather(*map(outbox.put, calls))
        await outbox.close()

    asyncio.run(scenario())

    found: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for topic, key, value in _all_of(settings, topics):
        found[topic, key].append(int(value))
    expected: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for record in (record for records in calls for record in records):
        expected[record.topic, record.key].append(int(record.value))
    assert found == expected


def _all_of(settings: Any, topics: Sequence[str]) -> Iterator[tuple[str, bytes, bytes]]:
    from confluent_kafka import TopicPartition as Place

    reader = consumer(settings, None, **{"enable.partition.eof": True})
    places = [(topic, n) for topic in topics for n in range(settings.kafka.partitions)]
    reader.assign([Place(*place, OFFSET_BEGINNING) for place in places])
    ended = 0
    while ended < len(places):
        message = reader.poll(30)
        assert message is not None
        if message.error():
            ended += 1
        else:
            yield message.topic() or "", message.key() or b"", message.value() or b""
    reader.close()
