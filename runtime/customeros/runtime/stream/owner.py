"""Own one partition number: fold what is delivered, commit it, and only then acknowledge it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import TopicPartition

from customeros.runtime.metrics import (
    COMMIT_SECONDS,
    DEAD_LETTERS,
    PARTITIONS_OWNED,
    RECORDS_READ,
    RECORDS_SKIPPED,
    RECORDS_WRITTEN,
    RECOVERY_SECONDS,
)
from customeros.runtime.progress import Progress
from customeros.runtime.settings import Settings, Worker
from customeros.runtime.stream.changelog import catch_up, end_offsets
from customeros.runtime.stream.faust_batches import Delivery
from customeros.runtime.stream.fold import Delivered, PartitionFold, Sealed
from customeros.runtime.stream.model import Processor
from customeros.runtime.stream.overlay import DECODED_BYTES
from customeros.runtime.stream.rocks import RocksStore, open_store
from customeros.runtime.stream.store import Position
from customeros.runtime.stream.transactor import Lost, Transactor
from customeros.runtime.topics import FoundTopic, prefixed
from customeros.schemas.codec import DEAD_LETTER
from customeros.schemas.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from customeros.schemas.topics import Topic, changelog

_LOG: Final = structlog.get_logger()
# A full hand is committed at once, and with another one taking waits: bytes of the records, and for
# each so many for what it is decoded to, which makes some 8,000 events or contributions.
_HAND_BYTES: Final = 24 << 20
_RECORD_BYTES: Final = 2_048
# Under load a transaction gathers five times as long as the last commit took, so that more records
# of one key are folded into one output; but at most ten times as long as at rest.
_LINGER_PER_TRANSACTION: Final = 5
_LONGEST_LINGER: Final = 10
# Who is behind gathers until the hand is full, to get on with fewer outputs, or so many times as
# long as at rest: what waits at the broker may come slowly, or turn out to be no records.
_LONGEST_GATHER: Final = 80
# Few partitions share out what many would keep decoded.
_DECODED_BYTES: Final = 24 << 20

Acknowledge = Callable[[], Awaitable[Any]]


class Opened(NamedTuple):
    """What opening a partition took from the broker and the disk."""

    transactor: Transactor
    store: RocksStore
    fold: PartitionFold
    changelog_id: str


def open_partition(
    processor: Processor,
    settings: Settings,
    partition: int,
    topics: Mapping[Topic, FoundTopic],
    progress: Progress,
) -> Opened:
    """
    Fence the predecessor, then bring the state to where it left it; blocks.

    Args:
        topics: as the broker has them, the sources and the changelog among them.

    Raises:
        Misconfigured: the local state does not belong to the changelog.
        Unavailable: the broker does not answer.
    """
    begun = time.monotonic()
    stage = processor.stage
    log = changelog(stage)
    place = TopicPartition(prefixed(settings, log), partition)
    transactor = Transactor(settings, f"{settings.prefix}{stage}-{partition}", place)
    store = open_store(
        settings.home / "state" / f"{settings.prefix}{stage}" / str(partition),
        cache_bytes=settings.worker.cache_mb << 20,
    )
    try:
        count = catch_up(settings, store, place, topic_id=topics[log].id, moved=progress.moved)
        fold = PartitionFold(
            processor,
            partition,
            store,
            topic_ids={topic.name: topics[topic].id for topic in processor.sources},
            decoded_bytes=max(DECODED_BYTES, _DECODED_BYTES // settings.kafka.partitions),
        )
        _follow_truncation(processor, settings, partition, fold)
    except BaseException:
        store.close()
        raise
    took = time.monotonic() - begun
    RECOVERY_SECONDS.labels(stage).observe(took)
    _LOG.info(
        "partition_opened",
        stage=stage,
        partition=partition,
        caught_up=count,
        seconds=round(took, 3),
    )
    return Opened(transactor, store, fold, topics[log].id)


def _follow_truncation(
    processor: Processor, settings: Settings, partition: int, fold: PartitionFold
) -> None:
    """
    A source that ends before its watermark has lost its tail, as by a broker's power cut; what
    takes the lost offsets now has not been folded.
    """
    names = {prefixed(settings, topic): topic for topic in processor.sources}
    ends = end_offsets(settings, [TopicPartition(name, partition) for name in names])
    for name, topic in names.items():
        if (folded := fold.watermark(topic)) >= ends[name]:
            _LOG.warning(
                "source_truncated", topic=name, partition=partition, folded=folded, end=ends[name]
            )
            fold.move_watermark(topic, ends[name] - 1)


@dataclass
class _InHand:
    """What was taken and is not acknowledged yet."""

    deliveries: list[tuple[Topic, Sequence[Delivered]]] = field(default_factory=list)
    acknowledge: list[Acknowledge] = field(default_factory=list)
    size: int = 0

    def before(self, later: _InHand) -> _InHand:
        return _InHand(
            self.deliveries + later.deliveries,
            self.acknowledge + later.acknowledge,
            self.size + later.size,
        )


class Owner:
    """
    The one who folds and commits a partition number; lives on one event loop.

    Args:
        opening: opens the partition, as often as it has to be; blocks.
        opened: what it gave for the first time.
    """

    def __init__(
        self,
        progress: Progress,
        worker: Worker,
        partition: int,
        opening: Callable[[], Opened],
        opened: Opened,
    ) -> None:
        self.committing: asyncio.Task[None] | None = None
        self._progress = progress
        self._stage = progress.stage
        self._partition = partition
        self._opening = opening
        self._opened = opened
        self._shortest = worker.commit_seconds
        self._generation = -1
        self._open = _InHand()
        self._sealed = _InHand()
        self._reopens = False
        self._last_offset: dict[Topic, int] = {}
        self._due = 0.0
        self._more_until: float | None = None
        self._hurries = False
        self._stirred = asyncio.Event()
        self._settled = asyncio.Condition()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"commit-{partition}")
        PARTITIONS_OWNED.labels(self._stage).inc()

    async def room(self) -> None:
        """Wait until there is room for another batch."""
        async with self._settled:
            await self._settled.wait_for(
                lambda: self._pending < 2 * _HAND_BYTES and not self._reopens
            )

    def take(
        self, topic: Topic, delivery: Delivery, *, generation: int, acknowledge: Acknowledge
    ) -> None:
        """
        Take a delivery, to be folded with those that come until the next commit; it is
        acknowledged once that is done. There has to be `room`.

        Raises:
            RuntimeError: a delivery of this generation is missing before this one.
        """
        if generation != self._generation:
            self._generation = generation
            self._last_offset.clear()
        if delivery.after is not None and delivery.after != self._last_offset.get(topic):
            raise RuntimeError(f"a batch of {topic.name}[{self._partition}] was not delivered")
        self._last_offset[topic] = delivery.records[-1].offset
        self._open.deliveries.append((topic, delivery.records))
        self._open.acknowledge.append(acknowledge)
        self._open.size += _size(delivery.records)
        self._fold(topic, delivery.records)
        if not delivery.more:
            self._more_until = None
        elif self._more_until is None:
            longest = self._shortest * _LONGEST_GATHER
            self._more_until = asyncio.get_running_loop().time() + longest
        self._stirred.set()

    async def commit_always(self) -> None:
        """
        Fold and commit what is taken, for ever.

        The first batch after a pause is committed at once, the following at most every
        `commit_seconds`, less often while that takes long, and where more waits at the broker once
        the hand is full: a lone event is fast, a stream of them pays for few transactions, a busy
        machine for fewer, and who is behind for fewest.

        Raises:
            Fenced: a successor owns the partition.
            Lost: nobody can tell what became of a transaction, twice in a row.
        """
        loop = asyncio.get_running_loop()
        lost = False
        while True:
            await self._until_due()
            begun = loop.time()
            self._hurries = False
            self._more_until = None
            sealed = self._opened.fold.seal()
            self._sealed, self._open = self._open, _InHand()
            committing = loop.time()
            if sealed.writes:
                try:
                    await loop.run_in_executor(self._thread, self._commit, sealed)
                except Lost:
                    if lost:
                        raise
                    lost = True
                    await self._begin_again()
                    continue
            lost = False
            took = loop.time() - committing
            self._opened.fold.settle()
            self._progress.moved()
            for acknowledge in self._sealed.acknowledge:
                await acknowledge()
            async with self._settled:
                self._sealed = _InHand()
                self._settled.notify_all()
            linger = max(self._shortest, took * _LINGER_PER_TRANSACTION)
            self._due = begun + min(linger, self._shortest * _LONGEST_LINGER)

    async def drain(self) -> None:
        """Return when all that was taken is committed and acknowledged."""
        self._hurries = True
        self._stirred.set()
        async with self._settled:
            await self._settled.wait_for(lambda: not self._pending)

    def close(self) -> None:
        """Let go of the partition; what is not committed is void. Blocks."""
        if self.committing:
            self.committing.get_loop().call_soon_threadsafe(self.committing.cancel)
        self._thread.shutdown()
        self._opened.store.close()
        PARTITIONS_OWNED.labels(self._stage).dec()
        _LOG.info("partition_closed", stage=self._stage, partition=self._partition)

    @property
    def stirred(self) -> object:
        """See `Standing.sign`; any thread may ask."""
        return self._opened.fold.stirred

    def _fold(self, topic: Topic, records: Sequence[Delivered]) -> None:
        folded = self._opened.fold.fold(topic, records, time.time_ns() // 1_000_000)
        if folded.fresh:
            RECORDS_READ.labels(self._stage, topic.name).inc(folded.fresh)
        if folded.repeated:
            RECORDS_SKIPPED.labels(self._stage, topic.name).inc(folded.repeated)
        self._progress.moved()

    async def _begin_again(self) -> None:
        """Open the partition anew, and fold of what is in hand all that turns out to be missing."""
        self._reopens = True
        _LOG.warning("partition_reopened", stage=self._stage, partition=self._partition)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open_again)
        self._open, self._sealed = self._sealed.before(self._open), _InHand()
        for topic, records in self._open.deliveries:
            self._fold(topic, records)
        async with self._settled:
            self._reopens = False
            self._settled.notify_all()

    def _open_again(self) -> None:
        self._opened.store.close()
        self._opened = self._opening()

    @property
    def _pending(self) -> int:
        return self._open.size + self._sealed.size

    async def _until_due(self) -> None:
        """Until what is in hand has to be committed."""
        while (seconds := self._wait_seconds()) is None or seconds > 0:
            self._stirred.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), seconds)

    def _wait_seconds(self) -> float | None:
        """How long what is in hand may wait, if nothing comes; None: there is nothing."""
        if not self._open.size:
            return None
        if self._hurries or self._open.size >= _HAND_BYTES:
            return 0.0
        due = max(self._due, self._more_until or 0.0)
        return due - asyncio.get_running_loop().time()

    def _commit(self, sealed: Sealed) -> None:
        begun = time.monotonic()
        offset = self._opened.transactor.commit(sealed)
        self._opened.store.write(
            sealed.writes, Position(offset, self._opened.changelog_id, time.time_ns() // 1_000_000)
        )
        COMMIT_SECONDS.labels(self._stage).observe(time.monotonic() - begun)
        written: dict[str, int] = {}
        for output in sealed.outputs:
            written[output.topic.name] = written.get(output.topic.name, 0) + 1
            if output.topic == DEAD_LETTERS_TOPIC and output.value is not None:
                reason = DEAD_LETTER.decode(output.value).reason
                DEAD_LETTERS.labels(self._stage, reason).inc()
        for name, number in written.items():
            RECORDS_WRITTEN.labels(self._stage, name).inc(number)


def _size(records: Sequence[Delivered]) -> int:
    """Roughly what they take in memory, bytes."""
    return sum([_RECORD_BYTES + len(record.value or b"") for record in records])
