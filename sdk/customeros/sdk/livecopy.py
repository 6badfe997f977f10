"""A live copy of a compacted topic: what each key holds now, kept up by a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from customeros.schemas.codec import Undecodable
from customeros.sdk.changes import Changes
from customeros.sdk.versions import version_of

log = logging.getLogger("customeros.sdk")

# Longest time until `stop` is noticed.
_POLL_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0
_METADATA_SECONDS: Final = 5.0
# Written in one go, while no other thread runs: a millisecond on disk.
_BATCH: Final = 200

# After these the place in the log is lost, so the topic is read anew; all else librdkafka retries.
_READ_ANEW: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


class LiveCopyFailed(Exception):
    """The thread that kept the copy up has died; the cause is chained."""


class LiveCopy:
    """
    What each key of a compacted topic holds now, as the topic's raw bytes.

    Every partition is read, committed records only, without a consumer group. A broker that goes
    away is waited for, and meanwhile the copy answers as it was. Where the place in the log is
    lost (retention, a topic made anew), all is read again while the old copy goes on answering.

    Args:
        topic: its full name, prefix included.
        client: what every librdkafka client of the application starts from.
        store: holds the copy; whatever it holds at the start is brought up to date. It is
            written by `update` and `pop`, by one thread, and read meanwhile by others.
        version: of a value; an older one never replaces a newer.

    Attributes:
        failure: what ended it.
        undecodable: records that had no version; they were passed over.
        positions: of each partition, the offset that is read next; what comes before it is held.
    """

    def __init__(
        self,
        topic: str,
        client: Mapping[str, Any],
        *,
        store: MutableMapping[bytes, bytes] | None = None,
        version: Callable[[bytes], int] = version_of,
    ) -> None:
        self.topic = topic
        self.failure: BaseException | None = None
        self.undecodable = 0
        self.positions: Mapping[int, int] = {}
        self._client = client
        self._store: MutableMapping[bytes, bytes] = {} if store is None else store
        self._version = version
        self._lock = threading.Lock()
        self._readers: set[Changes] = set()
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._ready = False
        self._thread = threading.Thread(target=self._run, name=f"live-{topic}", daemon=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Begin to read; returns at once."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread and every iteration over changes; twice is harmless."""
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self._end_readers()

    @property
    def ready(self) -> bool:
        """Whether all that was there when the topic was first reached was read, and is kept up."""
        return self._ready and self.failure is None

    def wait_ready(self, timeout: float | None = None) -> bool:
        """
        Wait until ready; False after *timeout* seconds.

        Raises:
            LiveCopyFailed: it will never be.
        """
        self._settled.wait(timeout)
        self._check()
        return self.ready

    def get(self, key: bytes) -> bytes | None:
        """
        The newest value of *key*.

        Raises:
            LiveCopyFailed: the copy is not kept up any more.
        """
        self._check()
        return self._store.get(key)

    def __len__(self) -> int:
        with self._lock:
            return len(self._store)

    def __iter__(self) -> Iterator[bytes]:
        """The keys of this moment."""
        with self._lock:
            return iter(list(self._store))

    def changes(self, *, from_start: bool = False) -> Changes:
        """Changes from now on; *from_start*: every key that is there first."""
        reader = Changes(self.get, self._forget)
        with self._lock:
            self._readers.add(reader)
            reader.notify(self._store if from_start else ())
        if self._stopping.is_set() or self.failure:
            reader.close()
        return reader

    def _forget(self, reader: Changes) -> None:
        with self._lock:
            self._readers.discard(reader)

    def _check(self) -> None:
        if self.failure is not None:
            raise LiveCopyFailed(f"the live copy of {self.topic} has ended") from self.failure

    def _end_readers(self) -> None:
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._follow()
        except BaseException as error:
            log.exception("live_copy_failed")
            self.failure = error
        finally:
            self._settled.set()
            self._end_readers()

    def _follow(self) -> None:
        """Read all partitions from the beginning; returns when that must start over."""
        consumer = Consumer(
            {
                **self._client,
                "group.id": f"live-{self.topic}",  # required by the client, never joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                # Read ahead, kB: enough to never wait, and not twice what the store holds.
                "queued.max.messages.kbytes": 8_192,
            },
            logger=log,
        )
        try:
            partitions = self._partitions(consumer)
            consumer.assign([TopicPartition(self.topic, p, OFFSET_BEGINNING) for p in partitions])
            reading = _Reading(partitions, anew=next(iter(self._store), None) is not None)
            self.positions = reading.positions
            while not self._stopping.is_set():
                if not self._take(_poll(consumer), reading):
                    log.warning("live_copy_read_anew")
                    self._stopping.wait(_RETRY_SECONDS)
                    return
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer) -> list[int]:
        """Wait for the topic to be there; empty when stopped meanwhile."""
        while not self._stopping.is_set():
            try:
                found = consumer.list_topics(self.topic, timeout=_METADATA_SECONDS)
            except KafkaException:
                log.warning("broker_unavailable")
            else:
                topic = found.topics[self.topic]
                if topic.error is None and topic.partitions:
                    return sorted(topic.partitions)
                log.warning("topic_missing")
            self._stopping.wait(_RETRY_SECONDS)
        return []

    def _take(self, messages: list[Any], reading: _Reading) -> bool:
        """Apply what was polled; False: the place in the log is lost."""
        changed: dict[bytes, bytes | None] = {}
        positions: dict[int, int] = {}
        lost = False
        for message in messages:
            error = message.error()
            if error is None:
                self._apply(message.key(), message.value(), changed, reading)
                positions[message.partition()] = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                reading.unfinished.discard(message.partition())
                positions[message.partition()] = message.offset()
            elif error.code() in _READ_ANEW or error.fatal():
                lost = True
                break
        with self._lock:
            self._write(changed)
            if not lost and not reading.unfinished and not reading.whole:
                changed |= self._drop_all_but(reading.seen)
                reading.whole, reading.seen = True, None
            for reader in self._readers if changed else ():
                reader.notify(changed)
        reading.positions.update(positions)
        if reading.whole and not self._ready:
            self._ready = True
            self._settled.set()
        return not lost

    def _apply(
        self,
        key: bytes | None,
        value: bytes | None,
        changed: dict[bytes, bytes | None],
        reading: _Reading,
    ) -> None:
        """Put into *changed* what the record changes."""
        if key is None:
            return
        held = changed[key] if key in changed else self._store.get(key)
        if value is None:
            if reading.seen is not None:
                reading.seen.discard(key)
            if held is not None:
                changed[key] = None
            return
        if reading.seen is not None:
            reading.seen.add(key)
        try:
            version = self._version(value)
        except Undecodable:
            self.undecodable += 1
            return
        if held is None or (held != value and version >= self._version(held)):
            changed[key] = value

    def _write(self, changed: Mapping[bytes, bytes | None]) -> None:
        self._store.update({key: value for key, value in changed.items() if value is not None})
        for key in [key for key, value in changed.items() if value is None]:
            self._store.pop(key, None)

    def _drop_all_but(self, seen: set[bytes] | None) -> dict[bytes, None]:
        """Drop, and return, what the store held from before and the topic no longer has."""
        gone = [] if seen is None else [key for key in self._store if key not in seen]
        for key in gone:
            del self._store[key]
        return dict.fromkeys(gone)


class _Reading:
    """
    One pass over the topic.

    Args:
        unfinished: partitions short of their end; `whole`: none is, once.
        positions: of each partition, the offset that is read next.
        seen: the keys that were met until then; None: the store held nothing to compare with.
    """

    def __init__(self, partitions: list[int], *, anew: bool) -> None:
        self.unfinished = set(partitions)
        self.positions = dict.fromkeys(partitions, 0)
        self.whole = False
        self.seen: set[bytes] | None = set() if anew else None


def _poll(consumer: Consumer) -> list[Any]:
    """What is there; waits for the first message only, since `consume` waits for the last."""
    first = consumer.poll(_POLL_SECONDS)
    return [] if first is None else [first, *consumer.consume(_BATCH, 0)]
