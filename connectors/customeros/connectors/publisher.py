"""Give records to Kafka and say when it has them; at once, where it cannot be asked."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from customeros.connectors.outbox import MAX_BATCH_BYTES, Outbox, Record, build_producer
from customeros.connectors.room import Allowance, Window
from customeros.runtime import metrics
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import DEAD_LETTERS, EVENTS

_log = structlog.get_logger()

# What is kept beside key and value, roughly.
_OVERHEAD_BYTES: Final = 512
# A broker that is away is asked again this often, and given this long to answer.
_PROBE_SECONDS: Final = 0.25
_PROBE_ANSWER_SECONDS: Final = 1.0
# How often to look whether it is still there, and acknowledges in time.
_LOOK_SECONDS: Final = 0.2


class Publisher(Protocol):
    """Where a request's records go."""

    @property
    def ready(self) -> bool:
        """Whether the broker answers, as far as is known."""

    @property
    def congested(self) -> bool:
        """Whether as much is under way as is acknowledged in good time; more would only wait."""

    async def start(self) -> None:
        """Begin; returns at once, whether the broker is there or not."""

    async def close(self) -> None:
        """Wait a little for what is under way, then end."""

    async def publish(self, records: Sequence[Record]) -> None:
        """
        Return when the broker has all of them.

        Raises:
            Unavailable: it has not, or did not say so in time; some may arrive nevertheless.
            Overloaded: there is no room; likewise.
        """


class KafkaPublisher:
    """
    An outbox with a circuit breaker.

    Closed, records are handed to the outbox, which retries. A record that the broker refuses, an
    answer that does not come within `ack_seconds` or the loss of every broker opens the circuit:
    all who wait are told, and whoever comes is refused at once, until the broker answers a probe.
    Everything may then be sent again by the client: an event is counted once by its id.

    Args:
        allowance: shared with whoever else holds memory for requests.
    """

    def __init__(self, settings: Settings, allowance: Allowance) -> None:
        self._settings = settings
        self._allowance = allowance
        self._window = Window(settings.collector.max_inflight_mb << 20)
        self._ack_seconds = settings.collector.ack_seconds
        self._topics = {prefixed(settings, topic) for topic in (*EVENTS.values(), DEAD_LETTERS)}
        self._told_missing = False
        # Since when, the longest first.
        self._waiting: dict[asyncio.Future[None], float] = {}
        self._outbox: Outbox | None = None  # while the circuit is closed
        self._opened = asyncio.Event()
        self._keeping: asyncio.Task[None]

    @property
    def ready(self) -> bool:
        return self._outbox is not None

    @property
    def congested(self) -> bool:
        return self._window.full

    async def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep())
        self._keeping.add_done_callback(_end_with)

    async def close(self) -> None:
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=self._ack_seconds)
        self._keeping.cancel()
        await asyncio.wait([self._keeping])

    async def publish(self, records: Sequence[Record]) -> None:
        if self._outbox is None:
            raise Unavailable("kafka")
        if not records:
            return
        sizes = [len(record.key) + len(record.value) for record in records]
        if max(sizes) > MAX_BATCH_BYTES:
            raise Unavailable("kafka")
        size = sum(sizes) + len(records) * _OVERHEAD_BYTES
        self._allowance.take(size)
        self._window.take(size)
        began = time.monotonic()
        answer = self._outbox.put(records)
        self._waiting[answer] = began
        try:
            await answer
        except KafkaError as error:
            self._open(type(error).__name__)
            raise Unavailable("kafka") from error
        finally:
            ended = time.monotonic()
            self._allowance.give_back(size)
            self._window.give_back(size, at=ended, seconds=ended - began)
            self._waiting.pop(answer)

    def _open(self, why: str) -> None:
        """Refuse from now on, and tell those who wait."""
        if self._outbox is not None:
            self._outbox = None
            self._opened.set()
            metrics.UNAVAILABLE.labels("collector", "kafka").inc()
            _log.warning("broker_lost", why=why)
            for answer in self._waiting:
                if not answer.done():
                    answer.set_exception(Unavailable("kafka"))

    async def _keep(self) -> None:
        while True:
            producer = await self._found()
            outbox = self._outbox = Outbox(producer, partitions=self._settings.kafka.partitions)
            self._opened.clear()
            _log.info("broker_found")
            try:
                await self._watch(producer)
            finally:
                await outbox.close()

    async def _watch(self, producer: AIOKafkaProducer) -> None:
        """Return when the circuit is open."""
        while not self._opened.is_set():
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._opened.wait()
            except TimeoutError:
                # One look for all who wait: a timer for each costs as much as handing a record on.
                since = next((at for to, at in self._waiting.items() if not to.done()), math.inf)
                if time.monotonic() - since > self._ack_seconds:
                    self._open("no acknowledgement in time")
                elif not await _in_time(_reaches_any(producer)):
                    self._open("no broker can be reached")

    async def _found(self) -> AIOKafkaProducer:
        """A producer of brokers that answer and have the topics, once there are such."""
        while True:
            producer = build_producer(self._settings, request_seconds=self._ack_seconds)
            if await _in_time(self._answers(producer)):
                return producer
            await producer.stop()
            await asyncio.sleep(_PROBE_SECONDS)

    async def _answers(self, producer: AIOKafkaProducer) -> bool:
        await producer.start()
        # Of all topics: to ask for some by name makes them, with some brokers.
        found = await producer.client.fetch_all_metadata()
        if missing := self._topics - found.topics():
            if not self._told_missing:
                _log.error("topics_missing", topics=sorted(missing))
            self._told_missing = True
            return False
        self._told_missing = False
        return bool(await producer.client.set_topics(self._topics))


async def _reaches_any(producer: AIOKafkaProducer) -> bool:
    for broker in producer.client.cluster.brokers():
        if await producer.client.ready(broker.nodeId):
            return True
    return False


async def _in_time(answer: Awaitable[bool]) -> bool:
    """What a broker answers; no, if it does not."""
    try:
        async with asyncio.timeout(_PROBE_ANSWER_SECONDS):
            return await answer
    except (TimeoutError, KafkaError, OSError):
        return False


def _end_with(keeping: asyncio.Task[None]) -> None:
    if not keeping.cancelled():
        # Nobody would ever be acknowledged again: the supervisor is to start anew.
        _log.error("publishing_failed", error=type(keeping.exception()).__name__)
        os.kill(os.getpid(), signal.SIGTERM)
