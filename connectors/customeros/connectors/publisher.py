"""Give records to Kafka and say when it has them; at once, where it cannot be asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from customeros.connectors.room import Allowance, Overloaded, Window
from customeros.runtime import metrics
from customeros.runtime.clients import producer
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import DEAD_LETTERS, EVENTS

_log = structlog.get_logger()

# What librdkafka keeps beside key and value, roughly.
_OVERHEAD_BYTES: Final = 512
_POLL_SECONDS: Final = 0.1
# A broker that is away is asked again this often, and given this long to answer.
_PROBE_SECONDS: Final = 0.25
_PROBE_ANSWER_SECONDS: Final = 1.0


class Record(NamedTuple):
    """`topic` with its prefix."""

    topic: str
    key: bytes
    value: bytes


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


class _Delivery:
    """The records of one request on their way; `report` is called from the polling thread."""

    def __init__(self, count: int, ended: Callable[[KafkaError | None], None]) -> None:
        self._left = count
        self._ended = ended
        self._error: KafkaError | None = None
        self._lock = threading.Lock()

    def report(self, error: KafkaError | None, _record: object = None, *, count: int = 1) -> None:
        with self._lock:
            self._error = self._error or error
            self._left -= count
            ended = self._left == 0
        if ended:
            self._ended(self._error)


class KafkaPublisher:
    """
    A producer with a circuit breaker.

    Closed, records are handed to librdkafka, which retries within `ack_seconds`. A record that it
    gives up on, an answer that does not come or the loss of every broker opens the circuit: all
    who wait are told, and whoever comes is refused at once, until the broker answers a probe.
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
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed_circuit = False
        self._stopping = False
        self._broken = False
        self._producer = self._build()
        self._thread = threading.Thread(target=self._poll, name="kafka-poll", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    @property
    def ready(self) -> bool:
        return self._closed_circuit

    @property
    def congested(self) -> bool:
        return self._window.full

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._producer.flush, self._ack_seconds)
        self._stopping = True
        await asyncio.to_thread(self._thread.join)

    async def publish(self, records: Sequence[Record]) -> None:
        if not self._closed_circuit:
            raise Unavailable("kafka")
        if not records:
            return
        size = sum(len(r.key) + len(r.value) + _OVERHEAD_BYTES for r in records)
        self._allowance.take(size)
        self._window.take(size)
        began = self._loop.time()
        answer: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(answer)
        try:
            self._produce(records, self._delivery(len(records), size, answer))
            async with asyncio.timeout(self._ack_seconds):
                await answer
        except TimeoutError:
            # On a busy machine it may be there, and this task not have had its turn.
            if not _acknowledged(answer):
                self._open("no acknowledgement in time")
                raise Unavailable("kafka") from None
        finally:
            ended = self._loop.time()
            self._window.give_back(size, at=ended, seconds=ended - began)
            self._waiting.discard(answer)
            answer.cancel()

    def _delivery(self, count: int, size: int, answer: asyncio.Future[None]) -> _Delivery:
        def ended(error: KafkaError | None) -> None:
            self._allowance.give_back(size)
            if error is not None:
                self._open(error.name())
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits
                self._loop.call_soon_threadsafe(_settle, answer, error is None)

        return _Delivery(count, ended)

    def _produce(self, records: Sequence[Record], delivery: _Delivery) -> None:
        produce, report = self._producer.produce, delivery.report
        for sent, record in enumerate(records):
            try:
                produce(record.topic, record.value, record.key, on_delivery=report)
            except BufferError:
                delivery.report(None, count=len(records) - sent)
                raise Overloaded from None
            except KafkaException as error:
                delivery.report(error.args[0], count=len(records) - sent)
                raise Unavailable("kafka") from error

    def _open(self, why: str) -> None:
        """From any thread: refuse from now on, and tell those who wait."""
        if self._closed_circuit:
            self._closed_circuit = False
            metrics.UNAVAILABLE.labels("collector", "kafka").inc()
            _log.warning("broker_lost", why=why)
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell_all)

    def _tell_all(self) -> None:
        for answer in self._waiting:
            _settle(answer, False)

    def _poll(self) -> None:
        try:
            self._poll_and_probe()
        except Exception:  # noqa: BLE001 - it ends the process
            # Nobody would ever be acknowledged again: the supervisor is to start anew.
            _log.exception("polling_failed")
            self._open("polling failed")
            os.kill(os.getpid(), signal.SIGTERM)

    def _poll_and_probe(self) -> None:
        probe_at = 0.0
        while not self._stopping:
            self._producer.poll(_POLL_SECONDS if self._closed_circuit else _PROBE_SECONDS / 5)
            if not self._closed_circuit and time.monotonic() >= probe_at:
                self._probe()
                probe_at = time.monotonic() + _PROBE_SECONDS

    def _probe(self) -> None:
        if self._broken:
            # What it still held is reported as failed, so that its memory counts as free again.
            self._producer.purge()
            self._producer.flush(_PROBE_ANSWER_SECONDS)
            self._producer, self._broken = self._build(), False
        try:
            found = self._producer.list_topics(timeout=_PROBE_ANSWER_SECONDS).topics
        except KafkaException:
            return
        if missing := self._topics - found.keys():
            if not self._told_missing:
                _log.error("topics_missing", topics=sorted(missing))
            self._told_missing = True
            return
        self._closed_circuit, self._told_missing = True, False
        _log.info("broker_found")

    def _errors(self, error: KafkaError) -> None:
        if error.fatal():
            self._broken = True
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._open(error.name())

    def _build(self) -> Producer:
        collector = self._settings.collector
        overrides: dict[str, Any] = {
            "client.id": "customeros-collector",
            "linger.ms": 2,
            "message.timeout.ms": int(self._ack_seconds * 1000),
            # The allowance is the limit; these only have to be beyond it.
            "queue.buffering.max.kbytes": 2 * collector.max_inflight_mb * 1024,
            "queue.buffering.max.messages": 1_000_000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "socket.connection.setup.timeout.ms": 2_000,
            "error_cb": self._errors,
        }
        return producer(self._settings, **overrides)


def _acknowledged(answer: asyncio.Future[None]) -> bool:
    return answer.done() and not answer.cancelled() and answer.exception() is None


def _settle(answer: asyncio.Future[None], acknowledged: bool) -> None:
    if answer.done():
        return
    if acknowledged:
        answer.set_result(None)
    else:
        answer.set_exception(Unavailable("kafka"))
