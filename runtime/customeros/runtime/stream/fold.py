"""Fold batches of one partition number into its state; each record once, however often it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from customeros.runtime.errors import PoisonRecord
from customeros.runtime.stream.model import (
    Batch,
    Opens,
    Output,
    Processor,
    Record,
    Table,
    dead_letter,
)
from customeros.runtime.stream.overlay import DECODED_BYTES, Overlay
from customeros.runtime.stream.store import Store
from customeros.schemas.codec import Undecodable
from customeros.schemas.topics import Topic


class Delivered(Protocol):
    """A record as a consumer delivers it; `timestamp` in ms."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def timestamp(self) -> int: ...


class Folded(NamedTuple):
    """What became of a delivery; `repeated` records had been folded before."""

    fresh: int
    repeated: int


class Sealed(NamedTuple):
    """One transaction: what leaves, and what of the state changed (None: deleted)."""

    outputs: Sequence[Output]
    writes: Mapping[bytes, bytes | None]


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The last offset of a source that was folded, and which topic that was (see `Position`)."""

    offset: int
    topic_id: str = ""


# The watermark: one record per store. The name is no table's, since theirs are not empty.
_MARKS: Final[Table[dict[str, Mark]]] = Table(
    "", msgspec.msgpack.encode, msgspec.msgpack.Decoder(dict[str, Mark]).decode
)
_MARKS_KEY: Final = b"watermark"
# Decoded and not handled yet: as many as a transaction has under load, some 50 MB of events.
_TOGETHER_RECORDS: Final = 10_000


class PartitionFold:
    """One partition number of a stage: its state, and what its next transaction holds."""

    def __init__(
        self,
        processor: Processor,
        partition: int,
        store: Store,
        *,
        topic_ids: Mapping[str, str] | None = None,
        decoded_bytes: int = DECODED_BYTES,
    ) -> None:
        self._processor = processor
        self._partition = partition
        self._state = Overlay(store, decoded_bytes=decoded_bytes)
        self._topic_ids = topic_ids or {}
        self._outputs: list[Output] = []
        self._gathered: dict[Topic, list[Record]] = {}
        self._now = 0
        if isinstance(processor, Opens):
            processor.opened(self._state)

    def watermark(self, topic: Topic) -> int:
        """The last offset of *topic* that was folded; -1: none."""
        mark = (self._state.get(_MARKS, _MARKS_KEY) or {}).get(topic.name)
        # A topic deleted and made anew starts at 0 again: nothing of it has been folded.
        if mark is None or mark.topic_id != self._topic_ids.get(topic.name, mark.topic_id):
            return -1
        return mark.offset

    def fold(self, topic: Topic, delivered: Sequence[Delivered], now: int) -> Folded:
        """
        Take what was not folded yet; records that cannot be decoded become dead letters.

        It is folded by the next `seal`, together with what else was taken until then: whoever is
        touched by records of several topics is so said once.

        Args:
            delivered: ascending offsets of one topic-partition; gaps are normal.
            now: ms since the epoch, as `Batch.now`.
        """
        folded = self.watermark(topic)
        if not delivered or delivered[-1].offset <= folded:
            return Folded(0, len(delivered))
        fresh = [record for record in delivered if record.offset > folded]
        records, poisoned = self._decoded(topic, fresh)
        batch = Batch(topic, self._partition, records, now)
        self._outputs.extend(
            dead_letter(self._processor.stage, batch, record, error.reason, error.detail)
            for record, error in poisoned
        )
        if records:
            self._gathered.setdefault(topic, []).extend(records)
        self._now = now
        self.move_watermark(topic, fresh[-1].offset)
        if sum(map(len, self._gathered.values())) >= _TOGETHER_RECORDS:
            self._handle()
        return Folded(len(fresh), len(delivered) - len(fresh))

    def move_watermark(self, topic: Topic, offset: int) -> None:
        """What of *topic* comes up to *offset* is not folded again."""
        marks = self._state.get(_MARKS, _MARKS_KEY) or {}
        mark = Mark(offset, self._topic_ids.get(topic.name, ""))
        self._state.put(_MARKS, _MARKS_KEY, {**marks, topic.name: mark})

    def seal(self) -> Sealed:
        """Close what was taken since the last time as one transaction; empty if nothing was."""
        self._handle()
        outputs, self._outputs = self._outputs, []
        return Sealed(outputs, self._state.seal())

    def settle(self) -> None:
        """What was sealed is committed, and the store has it."""
        self._state.settle()

    @property
    def stirred(self) -> object:
        """Another value whenever a processor has read or said something; any thread may ask."""
        return len(self._outputs), self._state.remembered_bytes

    def _handle(self) -> None:
        gathered, self._gathered = self._gathered, {}
        if gathered:
            batches = [
                Batch(topic, self._partition, records, self._now)
                for topic, records in gathered.items()
            ]
            self._outputs.extend(self._processor.handle(self._state, batches))

    def _decoded(
        self, topic: Topic, delivered: Sequence[Delivered]
    ) -> tuple[list[Record], list[tuple[Record, PoisonRecord]]]:
        decode = self._processor.sources[topic]
        records: list[Record] = []
        poisoned: list[tuple[Record, PoisonRecord]] = []
        for record in delivered:
            offset, key, raw, timestamp = record.offset, record.key, record.value, record.timestamp
            value = None
            if raw is not None:
                try:
                    value = decode(raw)
                except (PoisonRecord, Undecodable, msgspec.DecodeError) as error:
                    poisoned.append((Record(offset, key, None, timestamp, raw), _poison(error)))
                    continue
            records.append(Record(offset, key, value, timestamp, raw))
        return records, poisoned


def _poison(error: Exception) -> PoisonRecord:
    if isinstance(error, PoisonRecord):
        return error
    # msgspec quotes the value that it refuses, which may be personal.
    detail = str(error) if isinstance(error, Undecodable) else type(error).__name__
    return PoisonRecord("undecodable", detail)
