"""Which records do topics hold at this moment, and what do these say?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec

from customeros.runtime.clients import admin, consumer
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import Topic

T = TypeVar("T")

ANSWER_SECONDS: Final = 10.0
_CHUNK: Final = 1_000
_PATIENCE_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 0.25

# A topic's name on the broker and a partition of it.
Place = tuple[str, int]


class Span(NamedTuple):
    """Offsets of a partition, from `start` to before `end`."""

    start: int
    end: int


def spans(settings: Settings, topics: Iterable[Topic]) -> dict[Place, Span]:
    """
    What each partition of *topics* holds now, but for those that somebody added: nobody reads them.

    Raises:
        Unavailable: the broker does not answer, or a topic is not there yet.
    """
    client = admin(settings)
    try:
        known = client.list_topics(timeout=ANSWER_SECONDS).topics
        places = [
            TopicPartition(name, number)
            for name in dict.fromkeys(prefixed(settings, topic) for topic in topics)
            for number in known[name].partitions
            if number < settings.kafka.partitions
        ]
        offsets = []
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
            asked = client.list_offsets(dict.fromkeys(places, spec), request_timeout=ANSWER_SECONDS)
            offsets.append({place: answer.result().offset for place, answer in asked.items()})
    except (KafkaException, KeyError) as error:
        raise Unavailable("kafka") from error
    return {(p.topic, p.partition): Span(offsets[0][p], offsets[1][p]) for p in places}


def patiently(ask: Callable[[], T]) -> T:
    """
    What *ask* answers; a broker that is about to make a topic or a coordinator is asked again.

    Raises:
        Unavailable: it does not answer.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)  # a broker tells nobody when it is ready


def read(settings: Settings, wanted: Mapping[Place, Span]) -> Iterator[Message]:
    """
    The committed records in *wanted*, those of one partition in their order.

    Raises:
        Unavailable: the broker does not answer.
    """
    unread = {place for place, span in wanted.items() if span.start < span.end}
    if not unread:
        return
    reader = consumer(settings, None, **{"enable.partition.eof": True})
    try:
        reader.assign([TopicPartition(*place, wanted[place].start) for place in unread])
        while unread:
            # It waits for a whole chunk; the first message is waited for, then what is there taken.
            first = reader.poll(ANSWER_SECONDS)
            if first is None:
                raise Unavailable("kafka")
            for message in (first, *reader.consume(_CHUNK, timeout=0)):
                error, place = message.error(), (message.topic() or "", message.partition() or 0)
                if error is None:
                    offset, end = message.offset() or 0, wanted[place].end
                    if offset < end:
                        yield message
                    if offset >= end - 1:
                        unread.discard(place)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(place)
                else:
                    raise Unavailable("kafka")
    except KafkaException as error:
        raise Unavailable("kafka") from error
    finally:
        reader.close()


def newest(
    settings: Settings, topic: Topic, at: Mapping[Place, Span], read_value: Callable[[bytes], T]
) -> dict[bytes, T]:
    """
    What each key of a compacted *topic* held where *at* ends; its records after that are ignored.

    Args:
        read_value: of each record; what it makes of the newest is kept.

    Raises:
        Unavailable: the broker does not answer.
    """
    name = prefixed(settings, topic)
    found: dict[bytes, T] = {}
    for message in read(settings, {place: span for place, span in at.items() if place[0] == name}):
        key, value = message.key() or b"", message.value()
        if value is None:
            found.pop(key, None)
        else:
            found[key] = read_value(value)
    return found
