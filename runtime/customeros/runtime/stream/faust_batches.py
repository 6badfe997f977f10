"""
Deliver whole fetched batches through Faust: one event per batch of one topic-partition.

Faust keeps the worker's life cycle, the consumer group and the back-pressure; what it does per
event it does per batch here. The private names that this touches are listed in `TOUCHED`; a
contract test sees to it that the pinned versions still have them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from customeros.runtime.stream.fold import Delivered

TOUCHED: Final[Mapping[str, Sequence[str]]] = {
    "faust.transport.drivers.aiokafka.Consumer": (
        "_new_consumer_thread",
        "_wait_next_records",
        "_new_offset",
        "_add_gap",
        "getmany",
        "perform_seek",
    ),
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread": ("_create_worker_consumer",),
    "faust.App": ("_new_transport",),
}
CONSUMER_ATTRIBUTES: Final = ("_acked", "_acked_index", "_buffered_partitions")
AIOKAFKA_ATTRIBUTES: Final = (
    "_isolation_level",
    "_partition_assignment_strategy",
    "_fetch_max_wait_ms",
)
# A fetch that waits for one partition holds up the others of its broker at most this long.
_FETCH_WAIT_MS: Final = 250
# Fetched, but not delivered: unless a seek follows, the next delivery says so in `after`.
_SKIPPED: Final = -2


class Delivery(NamedTuple):
    """
    A fetched batch.

    Args:
        records: ascending offsets; never empty.
        after: the last offset delivered before it in this generation; None: it is the first.
    """

    records: Sequence[Delivered]
    after: int | None


class BatchSchema(faust.Schema[Any, Any]):
    """Keys and values pass as they are: the value of a message is its Delivery."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # The input of a stage is the transactional output of another.
        consumer._isolation_level = "read_committed"
        # Partition n of every source goes to one worker; Faust's own choice here, round robin,
        # does not see to that.
        consumer._partition_assignment_strategy = [RangePartitionAssignor]
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        return consumer


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
        generation = self.app.consumer_generation_id
        if not self.flow_active:
            self._delivered.clear()
            await self.perform_seek()
            return
        wanted = self._buffered_partitions.union(active or ())
        for tp, records in fetched.items():
            if tp in wanted and self._goes_on(generation):
                yield tp, self._message(tp, records, generation)
            else:
                self._delivered[tp] = _SKIPPED

    def _goes_on(self, generation: int) -> bool:
        return bool(self.flow_active and self.app.consumer_generation_id == generation)

    def _message(self, tp: TP, records: Sequence[Any], generation: int) -> ConsumerMessage:
        if generation != self._delivered_generation:
            self._delivered_generation = generation
            self._delivered.clear()
        last = records[-1]
        delivery: Any = Delivery(records, self._delivered.get(tp))
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
            generation_id=generation,
        )

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


class _Transport(driver.Transport):
    Consumer = _Consumer


class BatchApp(faust.App):
    """A Faust app whose every topic is delivered in batches."""

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)
