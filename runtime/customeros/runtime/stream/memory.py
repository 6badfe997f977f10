"""A broker and a whole pipeline in memory: any interleaving, any crash, the same each time."""

from __future__ import annotations

import copy
import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Final, NamedTuple

from customeros.runtime.errors import Fenced
from customeros.runtime.partitioner import partition_of
from customeros.runtime.stream.fold import PartitionFold, Sealed
from customeros.runtime.stream.model import Output, Processor
from customeros.runtime.stream.store import DictStore, Position
from customeros.schemas.topics import Topic, changelog

_BATCH_RECORDS: Final = 500
_NOON: Final = 1_700_000_000_000
# How far the clocks of a process and its successor may be apart.
_SKEW_MS: Final = 100
_offset = attrgetter("offset")


class Stored(NamedTuple):
    """A record in a topic-partition."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int


class InMemoryBroker:
    """
    Topics of equal partition counts, made by use, with transactions that fence.

    Args:
        logs: what another had, see `logs`.
    """

    def __init__(
        self,
        *,
        partitions: int = 4,
        logs: Mapping[tuple[str, int], Sequence[Stored]] | None = None,
    ) -> None:
        self.partitions = partitions
        self._logs = {place: list(records) for place, records in (logs or {}).items()}
        self._ends = {place: records[-1].offset + 2 for place, records in self._logs.items()}
        self._epochs: dict[str, int] = {}

    @property
    def logs(self) -> Mapping[tuple[str, int], Sequence[Stored]]:
        """The records of each topic by name and partition, in order."""
        return self._logs

    def produce(
        self,
        topic: Topic,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        *,
        partition: int | None = None,
    ) -> tuple[int, int]:
        """Append one record; its partition and offset."""
        if partition is None:
            partition = partition_of(key or b"", self.partitions)
        place = (topic.name, partition)
        offset = self._ends.get(place, 0)
        self._logs.setdefault(place, []).append(Stored(offset, key, value, timestamp))
        self._ends[place] = offset + 1
        return partition, offset

    def read(self, topic: Topic, partition: int, offset: int, limit: int) -> Sequence[Stored]:
        """At most *limit* records from *offset* on."""
        log = self._logs.get((topic.name, partition), [])
        at = bisect_left(log, offset, key=_offset)
        return log[at : at + limit]

    def end(self, topic: Topic, partition: int) -> int:
        """The offset of the next record."""
        return self._ends.get((topic.name, partition), 0)

    def fence(self, transactional_id: str) -> int:
        """The right to commit under this id; whoever had it before has it no longer."""
        self._epochs[transactional_id] = self._epochs.get(transactional_id, 0) + 1
        return self._epochs[transactional_id]

    def commit(
        self,
        transactional_id: str,
        epoch: int,
        records: Iterable[tuple[Topic, bytes, bytes | None, int | None]],
        timestamp: int,
    ) -> dict[tuple[str, int], int]:
        """
        Append (topic, key, value, partition or None) at once; the last offset of each place.

        Raises:
            Fenced: another has fenced this id since *epoch*.
        """
        if self._epochs[transactional_id] != epoch:
            raise Fenced(f"{transactional_id} has a successor")
        last: dict[tuple[str, int], int] = {}
        for topic, key, value, partition in records:
            place, offset = self.produce(topic, key, value, timestamp, partition=partition)
            last[topic.name, place] = offset
        for at in last:
            self._ends[at] += 1  # the marker of a transaction takes an offset
        return last


class InMemoryPipeline:
    """
    Processors over one broker, run step by step until nothing is left to do.

    Args:
        partitions: of every topic.
        now: what `Batch.now` starts from, ms; every step adds one.
        broker: with as many partitions; without it an empty one.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        *,
        partitions: int = 4,
        now: int = _NOON,
        broker: InMemoryBroker | None = None,
    ) -> None:
        self.broker = broker or InMemoryBroker(partitions=partitions)
        self.now = now
        self._workers = [
            InMemoryWorker(processor, partition, self.broker)
            for processor in processors
            for partition in range(partitions)
        ]

    def produce(self, topic: Topic, key: bytes, value: bytes | None) -> None:
        """Append one input record, stamped with the pipeline's time."""
        self.broker.produce(topic, key, value, self.now)

    def run(self, order: random.Random | None = None, *, crashes: float = 0.0) -> None:
        """
        Work until every input is folded, committed and acknowledged.

        Args:
            order: chooses who works, on which topic, how much of it, and when it commits; without
                it everybody takes turns.
            crashes: the share of steps at which a worker's partition loses its process; needs
                *order*. No step crashes once all is done.
        """
        if order is None:
            while any([worker.turn(self._tick()) for worker in self._workers]):
                pass
            return
        busy = list(self._workers)
        while busy:
            at = order.randrange(len(busy))
            if not busy[at].step(self._tick(), order, crashes=crashes):
                busy[at] = busy[-1]
                busy.pop()
                if not busy:
                    busy = [worker for worker in self._workers if not worker.is_idle]

    def records(self, topic: Topic) -> list[Stored]:
        """Every record of *topic*: in order within a partition, one partition after the other."""
        return [
            record
            for partition in range(self.broker.partitions)
            for record in self.broker.read(topic, partition, 0, self.broker.end(topic, partition))
        ]

    def latest(self, topic: Topic) -> dict[bytes, bytes]:
        """*topic* as compaction leaves it in the end: the newest value per key, no tombstones."""
        newest = {record.key: record.value for record in self.records(topic)}
        return {
            key: value for key, value in newest.items() if key is not None and value is not None
        }

    def workers(self, stage: str) -> list[InMemoryWorker]:
        """The workers of *stage*, by partition."""
        return [worker for worker in self._workers if worker.stage == stage]

    def _tick(self) -> int:
        self.now += 1
        return self.now


class InMemoryWorker:
    """One partition number of one stage."""

    def __init__(self, processor: Processor, partition: int, broker: InMemoryBroker) -> None:
        self.stage = processor.stage
        self.partition = partition
        self._processor = processor
        self._sources = tuple(processor.sources)
        self._changelog = changelog(self.stage)
        self._transactional_id = f"{self.stage}-{partition}"
        self._broker = broker
        self._acked = dict.fromkeys(self._sources, 0)
        self._store = DictStore()
        self._skew = 0
        self._sleeper: InMemoryWorker | None = None
        self._open()

    @property
    def is_idle(self) -> bool:
        """Nothing to read, nothing to commit, nothing to acknowledge."""
        return not (self._dirty or self._sealed or self._unread())

    def turn(self, now: int) -> bool:
        """Read everything, commit it, acknowledge it; whether there was anything."""
        if self.is_idle:
            return False
        for topic in self._unread():
            while self._read(topic, _BATCH_RECORDS, now):
                pass
        while self._advance(now):
            pass
        return True

    def step(self, now: int, order: random.Random, *, crashes: float = 0.0) -> bool:
        """Do one thing, chosen by *order*: read, move the transaction on, or crash."""
        unread = self._unread()
        if not (unread or self._dirty or self._sealed):
            return False
        if crashes and order.random() < crashes:
            self.crash(order)
        elif self._sleeper is not None and order.random() < 0.2:
            self._wake_sleeper(now)
        elif unread and not ((self._dirty or self._sealed) and order.random() < 0.5):
            self._read(order.choice(unread), order.choice((1, 2, 5, _BATCH_RECORDS)), now)
        else:
            self._advance(now)
        return True

    def crash(self, order: random.Random, *, lose_store: bool | None = None) -> None:
        """
        Die and come back: what was not committed is lost, what was acknowledged may come again.

        The successor is of another machine, whose clock is another.

        Args:
            lose_store: whether the disk goes too; by default coins say, and whether the process
                only sleeps: then it keeps its store, and will go on as if it owned the partition.
        """
        if order.random() < 0.5:
            self._acked = {topic: order.randint(0, at) for topic, at in self._acked.items()}
        sleeps = lose_store is None and order.random() < 0.5
        self._sleeper = copy.copy(self) if sleeps else None
        if sleeps or (order.random() < 0.5 if lose_store is None else lose_store):
            self._store = DictStore()
        self._skew = order.randint(-_SKEW_MS, _SKEW_MS)
        self._open()

    def rewind(self) -> None:
        """Read all sources again from their beginning, as after a loss of the group's offsets."""
        self._acked = dict.fromkeys(self._sources, 0)
        self._open()

    def _open(self) -> None:
        """Fence the predecessor, then catch up with what it committed."""
        self._epoch = self._broker.fence(self._transactional_id)
        for record in self._broker.read(
            self._changelog,
            self.partition,
            self._store.position.offset + 1,
            self._broker.end(self._changelog, self.partition),
        ):
            self._store.write({record.key or b"": record.value}, Position(record.offset))
        self._fold = PartitionFold(self._processor, self.partition, self._store)
        self._read_to = dict(self._acked)
        self._dirty = False
        self._sealed: Sealed | None = None
        self._sealed_to: dict[Topic, int] = {}
        self._committed_to: int | None = None

    def _unread(self) -> list[Topic]:
        end, partition = self._broker.end, self.partition
        return [topic for topic, at in self._read_to.items() if at < end(topic, partition)]

    def _read(self, topic: Topic, limit: int, now: int) -> bool:
        batch = self._broker.read(topic, self.partition, self._read_to[topic], limit)
        if not batch:  # what is left are markers
            self._read_to[topic] = self._broker.end(topic, self.partition)
            return False
        self._fold.fold(topic, batch, now + self._skew)
        self._read_to[topic] = batch[-1].offset + 1
        self._dirty = True
        return True

    def _advance(self, now: int) -> bool:
        """Seal, then commit, then store and acknowledge: one of them each time."""
        if self._sealed is None:
            if not self._dirty:
                return False
            self._sealed, self._sealed_to = self._fold.seal(), dict(self._read_to)
            self._dirty = False
        elif self._committed_to is None:
            self._committed_to = self._commit(self._sealed, now)
        else:
            self._store.write(self._sealed.writes, Position(self._committed_to))
            self._fold.settle()
            self._acked = self._sealed_to
            self._sealed = self._committed_to = None
        return True

    def _wake_sleeper(self, now: int) -> None:
        """The predecessor goes on with what it had in hand, until it finds that it is fenced."""
        sleeper, self._sleeper = self._sleeper, None
        with suppress(Fenced):
            while sleeper and sleeper._advance(now):
                pass

    def _commit(self, sealed: Sealed, now: int) -> int:
        if not sealed.writes:
            return self._store.position.offset
        outputs: Iterable[Output] = sealed.outputs
        last = self._broker.commit(
            self._transactional_id,
            self._epoch,
            [
                *((output.topic, output.key, output.value, None) for output in outputs),
                *((self._changelog, k, v, self.partition) for k, v in sealed.writes.items()),
            ],
            now,
        )
        return last[self._changelog.name, self.partition]
