"""Bring a partition's store to the end of its changelog, and see where its inputs end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from customeros.runtime.clients import consumer
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.stream.rocks import RocksStore
from customeros.runtime.stream.store import NOWHERE, Position

_REQUEST_SECONDS: Final = 10.0
# Without any progress for so long the broker is away.
_STALL_SECONDS: Final = 60.0
# `consume` waits so long for a batch to fill, at the end too.
_FETCH_RECORDS: Final = 5_000
_FETCH_SECONDS: Final = 0.05
# Of each partition that is being opened; fetched meanwhile is what the store takes next.
_FETCHED_KB: Final = 8_192
_PASSING: Final = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
# Half of the changelogs' delete.retention.ms: a store left behind for longer may have missed
# tombstones that compaction has removed since, and keys would rise from the dead.
_STALE_MS: Final = 12 * 3_600_000


def catch_up(
    settings: Settings,
    store: RocksStore,
    place: TopicPartition,
    *,
    topic_id: str,
    moved: Callable[[], None],
) -> int:
    """
    Read *place*, the changelog's partition, into *store* up to the end; how many records that was.

    Only after its predecessor is fenced does the owner call this: then the end stays the end.

    Args:
        moved: called again and again while it gets on.

    Raises:
        Misconfigured: the store belongs to another topic, or is ahead of this one.
        Unavailable: the broker does not answer.
    """
    reader = consumer(
        settings,
        None,
        **{
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": _FETCHED_KB,
        },
    )
    try:
        first, end = _span(reader, place)
        start = start_offset(store, place, topic_id, first, end)
        reader.assign([TopicPartition(place.topic, place.partition, start)])
        count = 0
        for records, offset in _until_end(reader):
            # Until it is at the end, the store is as old as it was.
            store.write(records, Position(offset, topic_id, store.position.written_at))
            count += len(records)
            moved()
        if store.position != NOWHERE:
            store.write({}, store.position._replace(written_at=_now()))
        return count
    finally:
        reader.close()


def end_offsets(settings: Settings, places: list[TopicPartition]) -> dict[str, int]:
    """
    The offset of the next record of each of *places*, by topic.

    Raises:
        Unavailable: the broker does not answer.
    """
    reader = consumer(settings)
    try:
        return {place.topic: _span(reader, place)[1] for place in places}
    finally:
        reader.close()


def start_offset(
    store: RocksStore, place: TopicPartition, topic_id: str, first: int, end: int
) -> int:
    """
    Where to read on in *place*, which holds the offsets from *first* to before *end*.

    A store that was left behind for too long is emptied: see `_STALE_MS`.

    Raises:
        Misconfigured: the store belongs to another topic, or is ahead of this one.
    """
    position = store.position
    if position == NOWHERE:
        return OFFSET_BEGINNING
    if position.topic_id != topic_id or position.offset >= end:
        raise Misconfigured(
            f"the state in {store.path} is not of topic {place.topic} as it is now (deleted and "
            f"made anew, or restored from a backup): delete that directory and start again"
        )
    behind = end > position.offset + 2  # a transaction's marker follows its last record
    if position.offset + 1 < first or (behind and _now() - position.written_at > _STALE_MS):
        store.clear()
        return OFFSET_BEGINNING
    return position.offset + 1


def _span(reader: Any, place: TopicPartition) -> tuple[int, int]:
    try:
        first, end = reader.get_watermark_offsets(place, timeout=_REQUEST_SECONDS)
    except KafkaException as error:
        # That it does not know the partition passes too: it has just begun, since all were there
        # when this process began.
        if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise
        raise Unavailable("kafka") from error
    return first, end


def _until_end(reader: Any) -> Iterator[tuple[dict[bytes, bytes | None], int]]:
    deadline = time.monotonic() + _STALL_SECONDS
    while True:
        records: dict[bytes, bytes | None] = {}
        offset = -1
        at_end = False
        for message in reader.consume(_FETCH_RECORDS, _FETCH_SECONDS):
            error = message.error()
            if error is None:
                records[message.key()] = message.value()
                offset = message.offset()
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end = True
            elif error.code() not in _PASSING:
                raise KafkaException(error)
        if records:
            deadline = time.monotonic() + _STALL_SECONDS
            yield records, offset
        if at_end:
            return
        if time.monotonic() > deadline:
            raise Unavailable("kafka")


def _now() -> int:
    return time.time_ns() // 1_000_000
