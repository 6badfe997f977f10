"""
Deliver whole fetched batches through Faust: one event per batch of one topic-partition.

Faust keeps the worker's life cycle, the consumer group and the back-pressure; what it does per
event it does per batch here. The private names that this touches are listed in `TOUCHED`; a
contract test sees to it that the pinned versions still have them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from customeros.runtime.connections import wait_for_broker
from customeros.runtime.metrics import UNAVAILABLE
from customeros.runtime.stream.fold import Delivered

TOUCHED: Final[Mapping[str, Sequence[str]]] = {
    "faust.transport.drivers.aiokafka.Consumer": (
        "_new_consumer_thread",
        "_wait_next_records",
        "_new_offset",
        "_add_gap",
        "_commit_offsets",
        "getmany",
        "on_buffer_full",
        "perform_seek",
    ),
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread": (
        "_commit",
        "_create_worker_consumer",
        "_ensure_consumer",
    ),
    "faust.transport.drivers.aiokafka.Producer": ("_new_producer",),
    "faust.App": ("_new_transport",),
    "aiokafka.consumer.fetcher.PartitionRecords": ("_consumer_record",),
}
CONSUMER_ATTRIBUTES: Final = (
    "_acked",
    "_acked_index",
    "_buffered_partitions",
    "_committed_offset",
)
AIOKAFKA_ATTRIBUTES: Final = (
    "_isolation_level",
    "_partition_assignment_strategy",
    "_fetch_max_wait_ms",
    "_client",
)
FETCHER_ATTRIBUTES: Final = ("_fetch_max_wait_ms", "_fetch_min_bytes")
_LOG: Final = structlog.get_logger()
# At rest a fetch waits so long for the first record, and brings it at once.
_REST_WAIT_MS: Final = 250
_REST_BYTES: Final = 1
# While there is traffic it waits a little for more, since each answer costs, however little it
# brings; not for long, since what has come then waits for the next commit as well.
_TRAFFIC_WAIT_MS: Final = 50
# With as many bytes there is a backlog, and no wait.
_TRAFFIC_BYTES: Final = 1 << 20
# More than the markers of transactions, which take an offset and are no records.
_BACKLOG_OFFSETS: Final = 100
# Fetched, but not delivered: unless a seek follows, the next delivery says so in `after`.
_SKIPPED: Final = -2


class Delivery(NamedTuple):
    """
    A fetched batch.

    Args:
        records: ascending offsets; never empty.
        after: the last offset delivered before it in this generation; None: it is the first.
        more: for its partition another follows, which the same answer of the broker brought, or
            waits at the broker.
    """

    records: Sequence[Delivered]
    after: int | None
    more: bool


class BatchSchema(faust.Schema[Any, Any]):
    """Keys and values pass as they are: the value of a message is its Delivery."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # it has no types
    """Records as they were unpacked: another object for each is a third of what fetching costs."""

    def _consumer_record(self, _: TopicPartition, record: Delivered) -> Delivered:
        return record


def assignor(number: int) -> type[RangePartitionAssignor]:
    """
    One that assigns the first *number* partitions of each topic, and none that were added since.

    They are shared out by topic: with more of one, partition n of it would go to another worker
    than partition n of the others.
    """

    class Assignor(RangePartitionAssignor):  # type: ignore[misc]  # it has no types
        @classmethod
        def assign(cls, cluster: Any, members: Any) -> Any:
            return super().assign(_FirstPartitions(cluster, number), members)

    return Assignor


class _FirstPartitions(NamedTuple):
    """What the broker has, as far as it is ours."""

    cluster: Any
    number: int

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        found: set[int] | None = self.cluster.partitions_for_topic(topic)
        if found is None:
            return None
        if len(found) > self.number:
            _LOG.warning("partitions_not_used", topic=topic, found=len(found), used=self.number)
        return {partition for partition in found if partition < self.number}


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # The input of a stage is the transactional output of another.
        consumer._isolation_level = "read_committed"
        # Partition n of every source goes to one worker; Faust's own choice here, round robin,
        # does not see to that.
        consumer._partition_assignment_strategy = [assignor(self.app.conf.topic_partitions)]
        consumer._fetch_max_wait_ms = _REST_WAIT_MS
        wait_for_broker(consumer._client, away=_away)
        fetcher.PartitionRecords = _PartitionRecords
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Whether the broker took them; no failure ends us, since they are where to begin again."""
        ours = self.assignment()
        try:
            await self._ensure_consumer().commit(
                {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in ours}
            )
        except (KafkaError, TimeoutError) as error:
            _LOG.warning("offsets_not_committed", error=type(error).__name__)
            return False
        return True


class _Consumer(driver.Consumer):
    """All its topics are batched."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._delivered: dict[TP, int] = {}
        self._delivered_generation = -1

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        fetched: Any
        fetched, active = await self._wait_next_records(timeout)
        if fetched is None or self.should_stop:
            return
        consumer = self._thread._ensure_consumer()
        fetching = consumer._fetcher
        fetching._fetch_max_wait_ms = _TRAFFIC_WAIT_MS if fetched else _REST_WAIT_MS
        fetching._fetch_min_bytes = _TRAFFIC_BYTES if fetched else _REST_BYTES
        generation = self.app.consumer_generation_id
        self._forget_before(generation)
        if not self.flow_active:
            await self._unread(fetched)
            return
        wanted = self._buffered_partitions.union(active or ())
        last = {tp.partition: tp for tp in fetched if tp in wanted}
        behind = {
            tp.partition
            for tp, records in fetched.items()
            if _end(consumer, tp) - records[-1].offset > _BACKLOG_OFFSETS
        }
        for tp, records in fetched.items():
            if tp in wanted and self._goes_on(generation):
                more = tp != last[tp.partition] or tp.partition in behind
                yield tp, self._message(tp, records, more=more)
            else:
                self._delivered[tp] = _SKIPPED

    def on_buffer_full(self, tp: TP) -> None:
        """
        Leave *tp* among what is asked for: a full queue already keeps the fetcher waiting.

        Without it the fetcher would wait up to a second for new records of the other partitions
        while those that it has lie there.
        """

    async def _unread(self, fetched: Iterable[TP]) -> None:
        """A rebalance is under way: what came meanwhile is fetched again after it."""
        self._delivered.update(dict.fromkeys(fetched, _SKIPPED))
        # Nothing is assigned, or soon no more: the next assignment begins with what is committed.
        with suppress(IllegalStateError):
            await self.perform_seek()
            # Here alone: a seek beside a fetch does not reach what that one brings.
            self._delivered.clear()

    async def perform_seek(self) -> None:
        """
        Go back to what is committed, and where nothing is, to the beginning.

        Raises:
            IllegalStateError: nothing is assigned, or another rebalance takes it away.
        """
        try:
            await super().perform_seek()
            fetched = self._delivered.keys() & self.assignment()
            uncommitted = [TopicPartition(*tp) for tp in fetched if not self._committed_offset[tp]]
            if uncommitted:
                await self._thread.seek_to_beginning(*uncommitted)
        except AssertionError as error:
            raise IllegalStateError(str(error)) from error

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        """What the broker did not take is committed with what comes next, or without it."""
        done = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if not done:
            for tp in offsets.keys() & self.assignment():
                self._committed_offset[tp] = None
                self._acked[tp].append(offsets[tp] - 1)
        return done

    def _goes_on(self, generation: int) -> bool:
        return bool(self.flow_active and self.app.consumer_generation_id == generation)

    def _message(self, tp: TP, records: Sequence[Any], *, more: bool) -> ConsumerMessage:
        last = records[-1]
        delivery: Any = Delivery(records, self._delivered.get(tp), more)
        self._delivered[tp] = last.offset
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            [],
            None,
            delivery,
            None,
            0,
            0,
            tp,
            generation_id=self._delivered_generation,
        )

    def _forget_before(self, generation: int) -> None:
        if generation != self._delivered_generation:
            self._delivered_generation = generation
            self._delivered.clear()

    def _new_offset(self, tp: TP) -> int | None:
        """Batches are acknowledged in the order of their offsets: what is next is the last's."""
        acked = self._acked[tp]
        if not acked:
            return None
        offset: int = max(acked) + 1
        acked.clear()
        self._acked_index[tp].clear()
        return offset

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Gaps between batches are normal and mean nothing."""


def _away() -> None:
    UNAVAILABLE.labels("worker", "kafka").inc()


def _end(consumer: Any, tp: TP) -> int:
    """Offset after the last committed record, as the broker's last answer said; -1: unknown."""
    try:
        end: int | None = consumer.last_stable_offset(TopicPartition(*tp))
    except AssertionError:  # it was taken away meanwhile
        return -1
    return -1 if end is None else end


class _Producer(driver.Producer):
    """Faust has one, which nothing is written with: workers write in transactions of their own."""

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        wait_for_broker(producer.client, away=_away)
        return producer


class _Transport(driver.Transport):
    Consumer = _Consumer
    Producer = _Producer


class BatchApp(faust.App):
    """A Faust app whose every topic is delivered in batches."""

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)
