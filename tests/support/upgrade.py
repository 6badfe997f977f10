"""What a release left behind, on a real Kafka and on a real disk, byte for byte."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import rocksdict
from msgspec.structs import replace

from customeros.ops.digest import Facts, facts
from customeros.processors.profile.model import digest_of
from customeros.runtime.clients import producer
from customeros.runtime.settings import Settings
from customeros.runtime.stream.memory import Stored
from customeros.runtime.topics import FoundTopic, prefixed
from customeros.schemas.account import AccountState
from customeros.schemas.codec import ACCOUNT_STATE, ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.customer import CustomerState
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC
from customeros.schemas.topics import ASSIGNMENTS, Topic, changelog
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from support.released import Logs

S = TypeVar("S", CustomerState, AccountState)

# As the release wrote them; here they are said anew, since the broker gives topics new ids.
_WATERMARK: Final = b"\0watermark"
_POSITION: Final = b"\0\0position"


def adapted(logs: Logs, there: Mapping[Topic, FoundTopic]) -> Logs:
    """The same, where watermarks name the topics by the ids that this broker gave them."""
    ids = {topic.name: found.id for topic, found in there.items()}
    return {
        place: [r._replace(value=_marks(r.value, ids)) if r.key == _WATERMARK else r for r in found]
        for place, found in logs.items()
    }


def put_on_kafka(settings: Settings, logs: Logs, topics: Mapping[str, Topic]) -> None:
    """Write *logs* into topics that are empty, each record at its offset."""
    for (name, partition), records in logs.items():
        writer = producer(settings, **{"transactional.id": f"{settings.prefix}{name}-{partition}"})
        writer.init_transactions(30)
        # Where an offset is missing, a transaction ended.
        for run in _runs(records):
            writer.begin_transaction()
            for record in run:
                writer.produce(
                    prefixed(settings, topics[name]), record.value, record.key, partition
                )
            writer.commit_transaction(30)


def put_on_disk(
    home: Path, settings: Settings, stage: str, logs: Logs, there: Mapping[Topic, FoundTopic]
) -> None:
    """What *stage* kept of its changelogs, but for the last of their records."""
    log = changelog(stage)
    for (name, partition), records in logs.items():
        if name == log.name:
            folder = home / "state" / f"{settings.prefix}{stage}" / str(partition) / "0"
            folder.mkdir(parents=True)
            options = rocksdict.Options(raw_mode=True)
            options.create_if_missing(True)
            store = rocksdict.Rdict(str(folder), options)
            for record in records[:-1]:
                key = record.key or b""
                if record.value is None:
                    store.delete(key)
                else:
                    store[key] = record.value
            position = (records[-2].offset, there[log].id, int(time.time() * 1000))
            store[_POSITION] = msgspec.msgpack.encode(position)
            store.close()


def contents(records: Callable[[Topic], Iterable[Stored]]) -> Facts:
    """
    What the topics say of customers and organisations, whatever digests were reckoned over it.

    Args:
        records: all of a topic, those of a key in order.
    """

    def newest(topic: Topic) -> list[bytes]:
        found = {record.key: record.value for record in records(topic)}
        return [value for value in found.values() if value is not None]

    return facts(
        [_rehashed(CUSTOMER_STATE.decode(value)) for value in newest(CUSTOMER_STATE_TOPIC)],
        map(ASSIGNMENT.decode, newest(ASSIGNMENTS)),
        [_rehashed(ACCOUNT_STATE.decode(value)) for value in newest(ACCOUNT_STATE_TOPIC)],
    )


def _rehashed(state: S) -> S:
    """It has a hash over what its digest is over; of one moment, entries are in any order."""
    said = replace(
        state,
        version=0,
        digest="",
        things=sorted(state.things, key=repr),
        timeline=sorted(state.timeline, key=repr),
    )
    if isinstance(said, CustomerState):
        said = replace(said, identifiers=[replace(known, since=0) for known in said.identifiers])
    return replace(state, digest=digest_of(said))


def _marks(value: bytes | None, ids: Mapping[str, str]) -> bytes:
    marks = msgspec.msgpack.decode(value or b"", type=dict[str, tuple[int, str]])
    return msgspec.msgpack.encode({name: (at, ids[name]) for name, (at, _) in marks.items()})


def _runs(records: Sequence[Stored]) -> Iterator[list[Stored]]:
    """Records without a gap in their offsets."""
    run: list[Stored] = []
    for record in records:
        if run and record.offset != run[-1].offset + 1:
            yield run
            run = []
        run.append(record)
    if run:
        yield run
