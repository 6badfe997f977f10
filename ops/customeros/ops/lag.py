"""How far each stage is behind: records on its topics that its group has not committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import KafkaException, TopicPartition

from customeros.ops.spans import ANSWER_SECONDS, Place, Span, spans
from customeros.runtime.clients import consumer
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import (
    ACCOUNT_CONTRIBUTIONS,
    ACCOUNT_STATE,
    ASSIGNMENTS,
    CONTRIBUTIONS,
    CUSTOMER_STATE,
    DEAD_LETTERS,
    EVENTS,
    EVIDENCE,
    LINKS,
    RESOLVED,
    SIGHTINGS,
    Topic,
)

_FROM_START: Final = -1001  # OFFSET_INVALID: the group has committed nothing here

# What each stage reads.
READS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "resolve": (*EVENTS.values(), ASSIGNMENTS, SIGHTINGS),
    "graph": (EVIDENCE,),
    "state": (CONTRIBUTIONS, ACCOUNT_CONTRIBUTIONS),
    "sink-clickhouse": (
        RESOLVED,
        CUSTOMER_STATE,
        ACCOUNT_STATE,
        ASSIGNMENTS,
        LINKS,
        DEAD_LETTERS,
    ),
}
# A transaction ends with a marker, which takes an offset but is no record. Where no more than so
# many offsets are left, they are looked at.
_MAY_BE_MARKERS: Final = 64


def stage_lags(settings: Settings, stages: Iterable[str] = tuple(READS)) -> dict[str, int]:
    """
    Records that each of *stages* has yet to read; 0 only when it has read all.

    Raises:
        Unavailable: the broker does not answer, or the topics are not there yet.
    """
    asked = tuple(stages)
    there = spans(settings, (topic for stage in asked for topic in READS[stage]))
    left = {stage: unread(settings, stage, there) for stage in asked}
    return {stage: _records(settings, places) for stage, places in left.items()}


def unread(settings: Settings, stage: str, there: Mapping[Place, Span]) -> dict[Place, Span]:
    """
    What *stage* has not committed of the topics that it reads.

    Args:
        there: what these topics hold, of others as well.

    Raises:
        Unavailable: the broker does not answer.
    """
    names = {prefixed(settings, topic) for topic in READS[stage]}
    places = {place: span for place, span in there.items() if place[0] in names}
    folded = committed(settings, stage, places)
    return {
        place: Span(max(folded.get(place, _FROM_START), start), end)
        for place, (start, end) in places.items()
    }


def _records(settings: Settings, left: Mapping[Place, Span]) -> int:
    sure = {place: end - start for place, (start, end) in left.items() if end > start}
    doubtful = [place for place, offsets in sure.items() if offsets <= _MAY_BE_MARKERS]
    if doubtful:
        sure |= _counted(settings, {place: left[place] for place in doubtful})
    return sum(sure.values())


def _counted(settings: Settings, left: Mapping[Place, Span]) -> dict[Place, int]:
    """Committed records from each start to each end; what cannot be read in time counts whole."""
    reader = consumer(settings, None, **{"enable.partition.eof": True})
    found = dict.fromkeys(left, 0)
    pending = set(left)
    try:
        reader.assign(
            [TopicPartition(name, number, left[name, number].start) for name, number in left]
        )
        while pending:
            # `consume` waits for as many as it is asked for, so the first is waited for alone.
            first = reader.poll(ANSWER_SECONDS)
            if first is None:
                break
            for message in (first, *reader.consume(_MAY_BE_MARKERS, timeout=0)):
                place = (message.topic() or "", message.partition() or 0)
                if message.error() is not None:
                    pending.discard(place)
                elif (message.offset() or 0) < left[place].end:
                    found[place] += 1
    finally:
        reader.close()
    return {**found, **{place: left[place].end - left[place].start for place in pending}}


def committed(settings: Settings, stage: str, places: Iterable[Place]) -> dict[Place, int]:
    """
    The offset of the next record that *stage* reads in each place; negative: it has read none.

    Raises:
        Unavailable: the broker does not answer.
    """
    # Not the admin client's listing: librdkafka crashes there when the group's coordinator answers
    # with an error, as it does while it starts (it hands that to a group that it has not joined).
    member = consumer(settings, stage)
    try:
        found = member.committed([TopicPartition(*place) for place in places], ANSWER_SECONDS)
    except KafkaException as error:
        raise Unavailable("kafka") from error
    finally:
        member.close()
    return {(place.topic, place.partition): place.offset for place in found}
