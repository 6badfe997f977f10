"""How far each stage is behind: records on its topics that its group has not committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from customeros.runtime.clients import admin, consumer
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import (
    ASSIGNMENTS,
    CONTRIBUTIONS,
    CUSTOMER_STATE,
    DEAD_LETTERS,
    EVENTS,
    EVIDENCE,
    RESOLVED,
    SIGHTINGS,
    Topic,
)

_ANSWER_SECONDS: Final = 10.0
_FROM_START: Final = -1001  # OFFSET_INVALID: the group has committed nothing here

# What each stage reads.
READS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "resolve": (*EVENTS.values(), ASSIGNMENTS, SIGHTINGS),
    "graph": (EVIDENCE,),
    "state": (CONTRIBUTIONS,),
    "sink-clickhouse": (RESOLVED, CUSTOMER_STATE, ASSIGNMENTS, DEAD_LETTERS),
}
# A transaction ends with a marker, which takes an offset but is no record. Where no more than so
# many offsets are left, they are looked at.
_MAY_BE_MARKERS: Final = 64


Place = tuple[str, int]


class Ends(NamedTuple):
    """Where a partition begins and ends now."""

    first: int
    next: int


class Left(NamedTuple):
    """The offsets of a partition that a group has not committed."""

    start: int
    end: int


def stage_lags(settings: Settings) -> dict[str, int]:
    """
    Records that each stage has yet to read; 0 only when it has read all.

    Raises:
        Unavailable: the broker does not answer, or the topics are not there yet.
    """
    client = admin(settings)
    names = {prefixed(settings, topic) for topics in READS.values() for topic in topics}
    try:
        ends = _ends(client, names)
        left: dict[str, dict[Place, Left]] = {}
        for stage, topics in READS.items():
            places = {
                (name, number): found
                for name in (prefixed(settings, topic) for topic in topics)
                for number, found in ends[name].items()
            }
            committed = _committed(settings, stage, places)
            left[stage] = {
                place: Left(max(committed.get(place, _FROM_START), first), end)
                for place, (first, end) in places.items()
            }
    except (KafkaException, KeyError) as error:
        raise Unavailable("kafka") from error
    return {stage: _records(settings, places) for stage, places in left.items()}


def _records(settings: Settings, left: Mapping[Place, Left]) -> int:
    sure = {place: end - start for place, (start, end) in left.items() if end > start}
    doubtful = [place for place, offsets in sure.items() if offsets <= _MAY_BE_MARKERS]
    if doubtful:
        sure |= _counted(settings, {place: left[place] for place in doubtful})
    return sum(sure.values())


def _counted(settings: Settings, left: Mapping[Place, Left]) -> dict[Place, int]:
    """Committed records from each start to each end; what cannot be read in time counts whole."""
    reader = consumer(settings, None, **{"enable.partition.eof": True})
    found = dict.fromkeys(left, 0)
    unread = set(left)
    try:
        reader.assign(
            [TopicPartition(name, number, left[name, number].start) for name, number in left]
        )
        while unread:
            # `consume` waits for as many as it is asked for, so the first is waited for alone.
            first = reader.poll(_ANSWER_SECONDS)
            if first is None:
                break
            for message in (first, *reader.consume(_MAY_BE_MARKERS, timeout=0)):
                place = (message.topic() or "", message.partition() or 0)
                if message.error() is not None:
                    unread.discard(place)
                elif (message.offset() or 0) < left[place].end:
                    found[place] += 1
    finally:
        reader.close()
    return {**found, **{place: left[place].end - left[place].start for place in unread}}


def _ends(client: AdminClient, topics: Iterable[str]) -> dict[str, dict[int, Ends]]:
    known = client.list_topics(timeout=_ANSWER_SECONDS).topics
    places = [TopicPartition(name, n) for name in topics for n in known[name].partitions]
    offsets = []
    for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
        asked = client.list_offsets(dict.fromkeys(places, spec), request_timeout=_ANSWER_SECONDS)
        offsets.append({place: answer.result().offset for place, answer in asked.items()})
    found: dict[str, dict[int, Ends]] = {}
    for place in places:
        ends = Ends(offsets[0][place], offsets[1][place])
        found.setdefault(place.topic, {})[place.partition] = ends
    return found


def _committed(settings: Settings, group: str, places: Iterable[Place]) -> dict[Place, int]:
    # Not the admin client's listing: librdkafka crashes there when the group's coordinator answers
    # with an error, as it does while it starts (it hands that to a group that it has not joined).
    member = consumer(settings, group)
    try:
        found = member.committed([TopicPartition(*place) for place in places], _ANSWER_SECONDS)
    finally:
        member.close()
    return {(place.topic, place.partition): place.offset for place in found}
