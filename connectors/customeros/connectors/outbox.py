"""
Records on their way to Kafka: all that wait go at once, in one request to each broker.

librdkafka sends a request for every partition that is written to, and a request costs a broker
more than what is in it: one with ten partitions takes a quarter of what ten take.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from customeros.runtime.clients import ssl_context
from customeros.runtime.partitioner import partition_of
from customeros.runtime.settings import Settings

# Of one partition in one request, unpacked; a broker takes 1,048,588, packed.
MAX_BATCH_BYTES: Final = 1_000_000
# Requests begin at least so far apart: what comes within it goes together, and who is alone does
# not wait.
_APART_SECONDS: Final = 0.005


class Record(NamedTuple):
    """`topic` with its prefix."""

    topic: str
    key: bytes
    value: bytes


class _Delivery:
    """The records of one caller, on their way in some batches."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.batches = 0

    def arrived(self) -> None:
        self.batches -= 1
        if not self.batches and not self.ended.done():
            self.ended.set_result(None)

    def refused(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


class _Chunk(NamedTuple):
    """What one caller has for one partition."""

    delivery: _Delivery
    records: list[Record]


class Outbox:
    """
    What comes while a request is under way, or soon after it began, goes with the next; each
    record arrives once.

    Args:
        producer: started; closed with this.
        partitions: of every topic, whatever the brokers have: so a key stays where it is.
    """

    def __init__(self, producer: AIOKafkaProducer, *, partitions: int) -> None:
        self._producer = producer
        self._partitions = partitions
        self._waiting: defaultdict[TopicPartition, deque[_Chunk]] = defaultdict(deque)
        self._sending: asyncio.Task[None] | None = None
        self._due = 0.0

    def put(self, records: Iterable[Record]) -> asyncio.Future[None]:
        """
        Done when every in-sync replica has all of *records*, each at most `MAX_BATCH_BYTES`.

        Fails with a `KafkaError` when a broker refuses some of them for good.
        """
        delivery = _Delivery()
        found: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            found[record.topic, partition_of(record.key, self._partitions)].append(record)
        delivery.batches = len(found)
        for place, ours in found.items():
            self._waiting[TopicPartition(*place)].append(_Chunk(delivery, ours))
        if self._sending is None or self._sending.done():
            # It begins when all requests that can be read by now have been.
            self._sending = asyncio.create_task(self._send())
        return delivery.ended

    async def close(self) -> None:
        """What is under way may arrive nevertheless; nobody is told."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        await self._producer.stop()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(max(0.0, self._due - loop.time()))
            self._due = loop.time() + _APART_SECONDS
            await asyncio.gather(*map(self._deliver, list(self._waiting)))

    async def _deliver(self, place: TopicPartition) -> None:
        """Give a batch of what waits for *place* to the producer, and tell its callers."""
        batch = self._producer.create_batch()
        waiting = self._waiting[place]
        told = []
        while waiting:
            delivery, records = waiting.popleft()
            fit = _fill(batch, records)
            if fit:
                told.append(delivery)
            if fit < len(records):
                delivery.batches += bool(fit)
                waiting.appendleft(_Chunk(delivery, records[fit:]))
                break
        if not waiting:
            del self._waiting[place]
        try:
            await (await self._producer.send_batch(batch, place.topic, partition=place.partition))
        except KafkaError as error:
            for delivery in told:
                delivery.refused(error)
        else:
            for delivery in told:
                delivery.arrived()


def _fill(batch: BatchBuilder, records: Iterable[Record]) -> int:
    """Append the first of *records*, as many as there is room for; how many that were."""
    fit = 0
    for record in records:
        if batch.append(timestamp=None, key=record.key, value=record.value) is None:
            break
        fit += 1
    return fit


def build_producer(settings: Settings, *, request_seconds: float) -> AIOKafkaProducer:
    """A producer that has yet to be started; see `runtime.clients` for librdkafka's."""
    kafka, password = settings.kafka, settings.kafka.sasl_password
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap.split(","),
        client_id="customeros-collector",
        acks="all",
        enable_idempotence=True,
        compression_type="snappy",
        max_batch_size=MAX_BATCH_BYTES,
        request_timeout_ms=int(request_seconds * 1000),
        security_protocol=kafka.security_protocol,
        ssl_context=ssl_context(settings),
        sasl_mechanism=kafka.sasl_mechanism or "PLAIN",
        sasl_plain_username=kafka.sasl_username,
        sasl_plain_password=password.get_secret_value() if password else None,
    )
