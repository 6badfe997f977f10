"""How far each stage is behind: records on its topics that its group has not committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from customeros.runtime.clients import admin, group_id
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
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

# What each stage reads. The topics that a stage of ours writes end with a transaction's marker,
# which takes an offset but is no record.
READS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "resolve": (*EVENTS.values(), ASSIGNMENTS, SIGHTINGS),
    "graph": (EVIDENCE,),
    "state": (CONTRIBUTIONS,),
    "sink-clickhouse": (RESOLVED, CUSTOMER_STATE, ASSIGNMENTS, DEAD_LETTERS),
}
_TRANSACTIONAL: Final = frozenset(
    {ASSIGNMENTS, SIGHTINGS, EVIDENCE, CONTRIBUTIONS, CUSTOMER_STATE, RESOLVED}
)


class Ends(NamedTuple):
    """Where a partition begins and ends now."""

    first: int
    next: int


def stage_lags(settings: Settings) -> dict[str, int]:
    """
    Records that each stage has yet to read; 0 only when it has read all.

    Raises:
        Unavailable: the broker does not answer, or the topics are not there yet.
    """
    client = admin(settings)
    prefix = settings.kafka.topic_prefix
    topics = {topic for topics in READS.values() for topic in topics}
    try:
        ends = _ends(client, [prefix + topic.name for topic in topics])
        lags = {}
        for stage, reads in READS.items():
            committed = _committed(client, group_id(settings, stage))
            lags[stage] = sum(
                _behind(
                    committed.get((prefix + topic.name, partition), _FROM_START),
                    found,
                    ends_with_marker=topic in _TRANSACTIONAL,
                )
                for topic in reads
                for partition, found in ends[prefix + topic.name].items()
            )
    except (KafkaException, KeyError) as error:
        raise Unavailable("kafka") from error
    return lags


def _behind(committed: int, ends: Ends, *, ends_with_marker: bool) -> int:
    start = max(committed, ends.first)
    left = ends.next - start
    return left if left != 1 or not ends_with_marker else 0


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


def _committed(client: AdminClient, group: str) -> dict[tuple[str, int], int]:
    asked = client.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)], request_timeout=_ANSWER_SECONDS
    )
    places = asked[group].result().topic_partitions
    return {(place.topic, place.partition): place.offset for place in places}
