"""
The process that takes the public topics to ClickHouse.

Offsets are committed after the insert, so what a crash leaves is inserted again; the tables see
to it that it counts once. ClickHouse away: the partitions pause and the same rows are tried again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any, Final

import structlog
from confluent_kafka import (
    OFFSET_STORED,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from customeros.runtime import clients, metrics
from customeros.runtime.backlog import Backlog
from customeros.runtime.ending import EXIT_CRASHED
from customeros.runtime.errors import CustomerOSError, Misconfigured, Unavailable
from customeros.runtime.garbage import collect_rarely
from customeros.runtime.progress import Progress, Watch
from customeros.runtime.settings import Settings
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import DEAD_LETTERS, RESOLVED
from customeros.sinks.clickhouse.buffer import (
    STAGE,
    Place,
    letter_of,
    may_be_dead_lettered,
)
from customeros.sinks.clickhouse.inserts import ANSWER_SECONDS, ClickHouse, Target
from customeros.sinks.clickhouse.lane import Lane
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.rows import SOURCES
from customeros.sinks.clickhouse.tables import Table

GROUP: Final = "sink-clickhouse"

# Idle, the loop looks this often whether it should stop.
_IDLE_SECONDS: Final = 0.5
# Taken from librdkafka at once: enough to be cheap, few enough to see the limits below in time.
_MESSAGES: Final = 1_000
# What is read is older than this: there is more than can be taken at once.
_BEHIND_SECONDS: Final = 3.0
# A batch of events takes little time; many small ones took it from those who make states of them.
_EVENTS: Final = frozenset({RESOLVED})
_EVENTS_WAIT_FACTOR: Final = 3
# Of all else most of the time goes by the row, so that a batch that waited longer takes longer. But
# of one customer's states the newest says all, and ClickHouse pays for small inserts too: they are
# so many times `flush_seconds` apart.
_WAIT_FACTOR: Final = 1
_PAUSE_FACTOR: Final = 2.5
# How often it looks whether a batch is written, while more is read.
_LOOK_SECONDS: Final = 0.05
_QUEUE_KB: Final = 32 * 1024
_DEAD_LETTER_SECONDS: Final = 10.0

_LOG: Final = structlog.get_logger()


def run_sink(settings: Settings) -> int:
    """
    Run until SIGTERM or SIGINT: the exit code, 0, or 70 after a crash that committed nothing.

    Waits for Kafka and ClickHouse; creates the topics it reads and the tables it writes.

    Raises:
        Misconfigured: a topic differs from what it must be, or ClickHouse refuses the user.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # An insert may take its time before it is known whether ClickHouse is away.
    progress = Progress(STAGE, settings.worker.patience_seconds + ANSWER_SECONDS)
    metrics.serve_metrics(settings.metrics, trouble=lambda: progress.trouble)
    try:
        target = _connected(settings, stop, progress)
        if target is not None:
            collect_rarely()
            Sink(settings, target, progress).run(stop)
            target.close()
    except Misconfigured:
        raise
    except Exception as error:  # noqa: BLE001  (texts of foreign errors may quote rows)
        _LOG.error("sink_crashed", error=type(error).__name__, at=_where(error))
        return EXIT_CRASHED
    return 0


class Sink:
    """One member of the sink's consumer group."""

    def __init__(self, settings: Settings, target: Target, progress: Progress) -> None:
        self._progress = progress
        progress.starting = "joins its group"
        backlog = Backlog(settings, GROUP)
        self._watch = Watch(progress, waits=lambda: backlog.waits(self._assignment))
        self._settings = settings.clickhouse
        self._topics = {prefixed(settings, topic): topic for topic in SOURCES}
        self._names = {topic: name for name, topic in self._topics.items()}
        self._dead_letters = prefixed(settings, DEAD_LETTERS)
        self._producer: Producer = clients.producer(settings)
        self._consumer: Consumer = clients.consumer(
            settings,
            GROUP,
            **{
                # Tells that there is nothing more, so that the lag is 0 then: transactions end
                # with a marker that takes an offset and is no message.
                "enable.partition.eof": True,
                "session.timeout.ms": int(settings.worker.session_seconds * 1000),
                "queued.max.messages.kbytes": _QUEUE_KB,
                "partition.assignment.strategy": "range",
            },
        )
        self._assignment: tuple[tuple[str, int], ...] = ()
        events = Lane(target, self._settings, wait_factor=_EVENTS_WAIT_FACTOR)
        others = Lane(
            target,
            self._settings,
            wait_factor=_WAIT_FACTOR,
            pause_seconds=self._settings.flush_seconds * _PAUSE_FACTOR,
        )
        self._lanes: tuple[Lane, ...] = (events, others)
        self._lane = {topic: events if topic in _EVENTS else others for topic in SOURCES}
        self._behind = False
        self._retry_at: float | None = None

    def run(self, stop: threading.Event) -> None:
        """
        Take records to the target until *stop*, then what was taken but not yet inserted.

        Raises:
            Misconfigured, InsertFailed, KafkaException: nothing more can be done here.
        """
        self._consumer.subscribe(
            list(self._topics),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        self._watch.start()
        lanes = self._lanes
        try:
            while not stop.is_set():
                self._read()
                self._write()
            self._flush()
        except BaseException:
            self._lanes = ()  # or closing the consumer would write and commit what they hold
            raise
        finally:
            self._watch.stop()
            self._consumer.close()
            for lane in lanes:
                lane.close()

    def _read(self) -> None:
        """Take what comes, until there is something to write or no room."""
        if crowded := [lane.writing for lane in self._lanes if lane.is_full and lane.writing]:
            wait(crowded, _IDLE_SECONDS, FIRST_COMPLETED)
            return
        self._take(self._consumer.poll(self._wait_seconds()))
        while self._retry_at is None and (seconds := self._wait_seconds()) > 0:
            messages = self._consumer.consume(_MESSAGES, min(seconds, self._settings.flush_seconds))
            self._behind = bool(messages) and _age(messages[-1]) > _BEHIND_SECONDS
            for message in messages:
                self._take(message)
            if not messages or any(lane.is_full for lane in self._lanes):
                break

    def _wait_seconds(self) -> float:
        """How long nothing has to be done but read."""
        writing = [lane.writing for lane in self._lanes if lane.writing]
        if any(batch.done() for batch in writing):
            return 0.0
        due = self._retry_at
        if due is None:
            due = min(lane.due_at(behind=self._behind) for lane in self._lanes)
        longest = _LOOK_SECONDS if writing else _IDLE_SECONDS
        return min(max(due - time.monotonic(), 0.0), longest)

    def _take(self, message: Message | None) -> None:
        if message is None:
            return
        error = message.error()
        if error is None:
            record = self._record(message)
            self._lane[record.topic].add(record)
        elif error.code() == KafkaError._PARTITION_EOF:
            place = self._place(message)
            self._lane[place[0]].move_to(place, message.offset() or 0)
        elif error.fatal() or error.code() in _HOPELESS:
            raise KafkaException(error)
        else:
            _LOG.warning("consumer_hindered", code=error.name())

    def _record(self, message: Message) -> Record:
        return Record(
            *self._place(message),
            offset=message.offset() or 0,
            key=message.key() or b"",
            value=message.value(),
            timestamp=message.timestamp()[1],
        )

    def _place(self, message: Message) -> Place:
        return self._topics[message.topic() or ""], message.partition() or 0

    def _write(self) -> None:
        """Commit what is written, and begin what is due; with ClickHouse away, try again."""
        try:
            for lane in self._lanes:
                if lane.writing and lane.writing.done():
                    self._settle(lane)
        except Unavailable as error:
            self._pause(error)
        now = time.monotonic()
        if self._retry_at is None:
            for lane in self._lanes:
                if now >= lane.due_at(behind=self._behind):
                    lane.begin()
        elif now >= self._retry_at:
            self._flush()

    def _flush(self) -> None:
        """Write all that was taken; with ClickHouse away, keep it."""
        try:
            self._write_all()
        except Unavailable as error:
            self._pause(error)
        else:
            self._resume()

    def _pause(self, error: Unavailable) -> None:
        """
        Fetch nothing more until it is time to try again.

        Its partitions stay this member's. They are not paused but let go: one that is resumed just
        when it is assigned again may stay paused for ever (librdkafka, issue 5591).
        """
        metrics.UNAVAILABLE.labels(STAGE, error.dependency).inc()
        if self._retry_at is None:
            _LOG.warning("paused", dependency=error.dependency)
        self._progress.waits_for(error.dependency, away=True)
        self._retry_at = time.monotonic() + error.retry_after
        # Each time, since partitions may have been assigned meanwhile.
        self._consumer.unassign()

    def _resume(self) -> None:
        """Fetch on from what is committed, if it was paused; all that was taken is."""
        if self._retry_at is None:
            return
        self._retry_at = None
        self._progress.waits_for("clickhouse", away=False)
        if places := [TopicPartition(*place, OFFSET_STORED) for place in self._assignment]:
            self._consumer.assign(places)
        _LOG.info("resumed")

    def _write_all(self) -> None:
        for lane in self._lanes:
            while not lane.is_empty:
                self._settle(lane)

    def _settle(self, lane: Lane) -> None:
        """Commit what *lane* has written, once it has."""
        batch, rows, seconds = lane.finish()
        for topic, records in batch.records.items():
            metrics.RECORDS_READ.labels(STAGE, topic.name).inc(records)
        self._give_up(batch.refused)
        self._commit(batch.positions)
        self._progress.moved()
        for table, number in rows.items():
            metrics.SINK_ROWS.labels(table.name).inc(number)
        if rows:
            _LOG.info("batch_written", rows=_by_name(rows), seconds=round(seconds, 4))

    def _give_up(self, refused: Mapping[Record, str]) -> None:
        """Send dead letters; they are on the broker when this returns."""
        for record, reason in refused.items():
            place = {"topic": record.topic.name, "partition": record.partition}
            _LOG.warning("dead_lettered", reason=reason, offset=record.offset, **place)
            metrics.DEAD_LETTERS.labels(STAGE, reason).inc()
            if may_be_dead_lettered(record):
                letter = letter_of(record, reason, now=int(time.time() * 1000))
                self._producer.produce(
                    self._dead_letters, letter.value, letter.key, on_delivery=_must_arrive
                )
        if refused and self._producer.flush(_DEAD_LETTER_SECONDS):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def _commit(self, positions: Mapping[Place, int]) -> None:
        """Say how far it is done. If the broker will not hear it, a later commit says more."""
        offsets = [
            TopicPartition(self._names[topic], partition, offset)
            for (topic, partition), offset in positions.items()
        ]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].fatal():
                raise
            metrics.UNAVAILABLE.labels(STAGE, "kafka").inc()
            _LOG.warning("commit_failed", code=error.args[0].name())

    def _assigned(self, _: Consumer, partitions: Iterable[TopicPartition]) -> None:
        """New partitions are fetched: with ClickHouse away, see to it at once that they are not."""
        self._assignment = tuple((p.topic, p.partition) for p in partitions)
        self._progress.starting = ""
        if self._retry_at is not None:
            self._retry_at = time.monotonic()

    def _revoked(self, _: Consumer, partitions: Iterable[TopicPartition]) -> None:
        """Another member takes over: finish what was taken, or leave it to that one."""
        self._assignment = ()
        try:
            self._write_all()
        except Unavailable as error:
            metrics.UNAVAILABLE.labels(STAGE, error.dependency).inc()
            self._drop(partitions)

    def _lost(self, _: Consumer, partitions: Iterable[TopicPartition]) -> None:
        self._assignment = ()
        self._drop(partitions)

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        places = [(self._topics[p.topic], p.partition) for p in partitions]
        for lane in self._lanes:
            lane.drop(places)


# Waiting does not help these.
_HOPELESS: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}


def _connected(settings: Settings, stop: threading.Event, progress: Progress) -> ClickHouse | None:
    """Topics and tables as they have to be, once both servers answer; None: stopped before."""
    while not stop.is_set():
        try:
            ensure_topics(settings, SOURCES)
            return ClickHouse(settings)
        except Unavailable as error:
            metrics.UNAVAILABLE.labels(STAGE, error.dependency).inc()
            _LOG.warning("waiting", dependency=error.dependency)
            progress.starting = f"waits for {error.dependency}"
            stop.wait(error.retry_after)
    return None


def _age(message: Message) -> float:
    """Seconds since it was produced; 0 at a partition's end."""
    return 0.0 if message.error() else time.time() - message.timestamp()[1] / 1000


def _must_arrive(error: KafkaError | None, _: Message) -> None:
    if error is not None:
        raise KafkaException(error)


def _by_name(written: Mapping[Table, int]) -> dict[str, int]:
    return {table.name: rows for table, rows in written.items()}


def _where(error: BaseException) -> list[str]:
    """File and line of each frame, without the error's text."""
    frames: list[str] = []
    trace: Any = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return [*frames, str(error)] if isinstance(error, CustomerOSError) else frames
