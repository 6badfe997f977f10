"""What a processor is: records and state in, outputs and state out, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from customeros.schemas.codec import DEAD_LETTER
from customeros.schemas.dead_letter import DeadLetter, Origin
from customeros.schemas.topics import DEAD_LETTERS, Topic, topic_key

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

# A record may be as large as the broker takes (1 MB); its dead letter also has to fit into one.
_DEAD_LETTER_BYTES: Final = 900_000
_UNKNOWN: Final = "unknown"


# Made for every event: structs are built three times as fast as tuples with names, and `gc=False`
# spares the collector what cannot be part of a cycle.
class Record(msgspec.Struct, frozen=True, gc=False):
    """
    One record of a source topic.

    Args:
        value: what the source's decoder made of `raw`; None for a tombstone.
        timestamp: when it was produced, ms.
        raw: the bytes as they came.
    """

    offset: int
    key: bytes | None
    value: Any
    timestamp: int
    raw: bytes | None


class Batch(NamedTuple):
    """
    Records of one topic-partition in the order of their offsets; none was folded before.

    Args:
        now: ms since the epoch. Hybrid clocks may take it, nothing else may.
    """

    topic: Topic
    partition: int
    records: Sequence[Record]
    now: int


class Table(Generic[T]):
    """
    One kind of state, under a name of its own; keys are arbitrary bytes.

    Args:
        name: not empty, without NUL; never changed once released, as stores and changelogs hold it.
        encode: value to bytes; equal values give equal bytes.
    """

    __slots__ = ("decode", "encode", "name", "prefix")

    def __init__(
        self, name: str, encode: Callable[[T], bytes], decode: Callable[[bytes], T]
    ) -> None:
        if "\0" in name:
            raise ValueError("a table's name holds no NUL")
        self.name = name
        self.encode = encode
        self.decode = decode
        self.prefix: Final = name.encode() + b"\0"


def struct_table(name: str, struct: type[S]) -> Table[S]:
    """A table of msgspec structs, as msgpack."""
    encoder = msgspec.msgpack.Encoder()
    return Table(name, encoder.encode, msgspec.msgpack.Decoder(struct).decode)


class State(Protocol):
    """
    The state of one partition; reads see every write made before, by this batch or earlier ones.

    A value that was read or put is never changed in place: put a new one.
    """

    def get(self, table: Table[T], key: bytes) -> T | None:
        """The value at *key*, or None."""

    def get_many(self, table: Table[T], keys: Iterable[bytes]) -> dict[bytes, T]:
        """The values at *keys*; absent keys are absent. One call is cheaper than many `get`s."""

    def put(self, table: Table[T], key: bytes, value: T) -> None:
        """Set the value at *key*."""

    def delete(self, table: Table[T], key: bytes) -> None:
        """Leave nothing at *key*; harmless where nothing is."""

    def scan(
        self, table: Table[T], prefix: bytes = b"", *, beyond: bytes = b"", limit: int | None = None
    ) -> Iterator[tuple[bytes, T]]:
        """
        Entries whose key starts with *prefix*, those after the key *beyond*.

        They are ascending, and as of the time of the call.
        """


class Output(msgspec.Struct, frozen=True, gc=False):
    """A record to send in the batch's transaction; `topic` is named without prefix."""

    topic: Topic
    key: bytes
    value: bytes | None


class Processor(Protocol):
    """
    One stage of the way, run once per partition number over all its sources.

    `handle` decides by its arguments alone; it is called once per transaction, if that is not
    very large, and whatever it raises ends the process with nothing committed.
    """

    @property
    def stage(self) -> str:
        """Names the consumer group, the changelog, the transactional ids and the metrics."""

    @property
    def sources(self) -> Mapping[Topic, Callable[[bytes], Any]]:
        """
        The topics that are read, each with the decoder of its values.

        A decoder raises PoisonRecord, Undecodable or msgspec.DecodeError for a record that can
        never be read; the runtime makes it a dead letter. Tombstones skip the decoder.
        """

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        """
        Fold *batches*, of different topics, into *state*; the outputs leave in the order given.
        """


@runtime_checkable
class Opens(Protocol):
    """A processor that looks at the state of a partition before anything is folded into it."""

    def opened(self, state: State) -> None:
        """Only look."""


def dead_letter(
    stage: str,
    batch: Batch,
    record: Record,
    reason: str,
    detail: str = "",
    *,
    workspace: str | None = None,
    source: str = _UNKNOWN,
) -> Output:
    """
    *record*, given up on, as an output.

    Args:
        reason: a stable code: a metric's label and a field, so without personal data.
        detail: a sentence for the operator, also without personal data.
        workspace: by default the one that the record's key names.
        source: the connector that it came through, where that is known.
    """
    raw = record.raw or b""
    if len(raw) > _DEAD_LETTER_BYTES:
        detail = f"{detail} (first {_DEAD_LETTER_BYTES} of {len(raw)} bytes)".lstrip()
        raw = raw[:_DEAD_LETTER_BYTES]
    workspace = workspace or _workspace(record.key)
    letter = DeadLetter(
        workspace=workspace,
        source=source,
        stage=stage,
        reason=reason,
        detail=detail,
        origin=Origin(topic=batch.topic.name, partition=batch.partition, offset=record.offset),
        failed_at=batch.now,
        key=record.key,
        value=raw,
    )
    return Output(DEAD_LETTERS, topic_key(workspace, source), DEAD_LETTER.encode(letter))


def _workspace(key: bytes | None) -> str:
    name, slash, _ = (key or b"").partition(b"/")
    return name.decode() if slash and name.isascii() and name else _UNKNOWN
