"""Topics as they have to be: created where missing, refused where different."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from customeros.runtime.clients import admin
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.waiting import wait_until
from customeros.schemas.topics import EVENTS, Topic

_LOG: Final = structlog.get_logger()
_REQUEST_SECONDS: Final = 10.0
# A topic just created is not yet known to every broker.
_SPREAD_SECONDS: Final = 10.0
_CLEANUP: Final = "cleanup.policy"
_RETENTION: Final = "retention.ms"
_FOR_EVER: Final = -1
_DAY_MS: Final = 86_400_000


class FoundTopic(NamedTuple):
    """A topic as the broker has it; `id` differs from that of an earlier topic of its name."""

    id: str
    partitions: int
    cleanup: str
    retention_ms: int


def prefixed(settings: Settings, topic: Topic) -> str:
    """The name of *topic* on the broker."""
    return topic.full_name(settings.kafka.topic_prefix, settings.build)


def config_of(settings: Settings, topic: Topic) -> dict[str, str]:
    """The broker's configuration of *topic*, with what the settings say of it."""
    days = settings.kafka.events_days
    if days is None or topic not in EVENTS.values():
        return topic.config
    return {**topic.config, _RETENTION: str(days * _DAY_MS or _FOR_EVER)}


def ensure_topics(settings: Settings, topics: Iterable[Topic]) -> None:
    """
    Create those of *topics* that are missing; calling twice is harmless.

    Where CUSTOMEROS_KAFKA__EVENTS_DAYS is set, events that are there already stay as long, too.

    Raises:
        Misconfigured: as in `check_topics`.
        Unavailable: the broker does not answer.
    """
    client, wanted = admin(settings), tuple(topics)
    found = find_topics(settings, wanted, client)
    if missing := [topic for topic in wanted if topic not in found]:
        _create(client, settings, missing)
        wait_until(
            lambda: len(find_topics(settings, missing, client)) == len(missing),
            seconds=_SPREAD_SECONDS,
            every=0.05,
            missing="kafka",
        )
    _keep_events(client, settings, check_topics(settings, wanted))


def check_topics(settings: Settings, topics: Iterable[Topic]) -> Mapping[Topic, FoundTopic]:
    """
    How the broker has *topics*.

    Partitions that were added to a topic are no harm: they are told of, and not used.

    Raises:
        Misconfigured: one is missing, has fewer partitions or another cleanup policy, or was made
            with more partitions.
        Unavailable: the broker does not answer.
    """
    wanted, client = tuple(topics), admin(settings)
    found = find_topics(settings, wanted, client)
    if problems := [
        problem
        for topic in wanted
        for problem in _differences(topic, found.get(topic), settings.kafka.partitions)
    ]:
        raise Misconfigured("; ".join(problems))
    _tell_of_more(client, settings, found)
    return found


def find_topics(
    settings: Settings, topics: Sequence[Topic], client: AdminClient | None = None
) -> dict[Topic, FoundTopic]:
    """
    Those of *topics* that the broker has.

    Raises:
        Unavailable: the broker does not answer.
    """
    client = client or admin(settings)
    by_name = {prefixed(settings, topic): topic for topic in topics}
    described = _existing(
        client.describe_topics(TopicCollection(list(by_name)), request_timeout=_REQUEST_SECONDS)
    )
    configs = (
        _existing(
            client.describe_configs(
                [ConfigResource(ResourceType.TOPIC, name) for name in described],
                request_timeout=_REQUEST_SECONDS,
            )
        )
        if described
        else {}
    )
    found = {resource.name: config for resource, config in configs.items()}
    return {
        by_name[name]: FoundTopic(
            str(topic.topic_id),
            len(topic.partitions),
            found[name][_CLEANUP].value,
            int(found[name][_RETENTION].value),
        )
        for name, topic in described.items()
        if name in found
    }


def _existing(answers: Mapping[Any, Future[Any]]) -> dict[Any, Any]:
    """The answers but those that say that there is no such topic."""
    found = {}
    for asked, answer in answers.items():
        try:
            found[asked] = answer.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Unavailable("kafka") from error
    return found


def _create(client: AdminClient, settings: Settings, topics: Sequence[Topic]) -> None:
    new = [
        NewTopic(
            prefixed(settings, topic),
            num_partitions=settings.kafka.partitions,
            replication_factor=settings.kafka.replication_factor,
            config=config_of(settings, topic),
        )
        for topic in topics
    ]
    for name, created in client.create_topics(new, request_timeout=_REQUEST_SECONDS).items():
        try:
            created.result()
        except KafkaException as error:
            code = error.args[0].code()
            if code in (KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.POLICY_VIOLATION):
                raise Misconfigured(
                    f"topic {name} cannot be created with CUSTOMEROS_KAFKA__REPLICATION_FACTOR="
                    f"{settings.kafka.replication_factor}: {error.args[0].str()}"
                ) from error
            if code != KafkaError.TOPIC_ALREADY_EXISTS:
                raise Unavailable("kafka") from error


def _keep_events(
    client: AdminClient, settings: Settings, found: Mapping[Topic, FoundTopic]
) -> None:
    """Let events stay as long as the settings say, where they say anything."""
    if settings.kafka.events_days is None:
        return
    changes = [
        ConfigResource(
            ResourceType.TOPIC,
            prefixed(settings, topic),
            incremental_configs=[
                ConfigEntry(_RETENTION, wanted, incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for topic, there in found.items()
        if topic in EVENTS.values()
        and (wanted := config_of(settings, topic)[_RETENTION]) != str(there.retention_ms)
    ]
    if changes:
        altered = client.incremental_alter_configs(changes, request_timeout=_REQUEST_SECONDS)
        for answer in altered.values():
            try:
                answer.result()
            except KafkaException as error:
                raise Unavailable("kafka") from error


def _differences(topic: Topic, found: FoundTopic | None, partitions: int) -> list[str]:
    if found is None:
        return [f"topic {topic.name} is missing: run `customeros topics create`"]
    problems = []
    if found.partitions < partitions:
        problems.append(
            f"topic {topic.name} has {found.partitions} partitions, expected {partitions}: set "
            f"CUSTOMEROS_KAFKA__PARTITIONS to what it was when the topics were made, or delete them"
        )
    if found.cleanup != topic.cleanup:
        problems.append(
            f"topic {topic.name} has {_CLEANUP}={found.cleanup}, expected {topic.cleanup.value}: "
            f"alter it"
        )
    return problems


def _tell_of_more(
    client: AdminClient, settings: Settings, found: Mapping[Topic, FoundTopic]
) -> None:
    """
    Say which of *found* have more partitions than are used, and what nobody reads there.

    Raises:
        Misconfigured: our own records are in them, since the topics were made with more.
        Unavailable: the broker does not answer.
    """
    used = settings.kafka.partitions
    more = {topic: there.partitions for topic, there in found.items() if there.partitions > used}
    if not more:
        return
    unread = _written(client, settings, more)
    for topic, partitions in more.items():
        # Others may write events; what is derived is only ever written by us.
        if unread[topic] and topic not in EVENTS.values():
            raise Misconfigured(
                f"topic {topic.name} has {partitions} partitions, with records beyond the first "
                f"{used}: set CUSTOMEROS_KAFKA__PARTITIONS to what it was when the topics were made"
            )
        _LOG.warning(
            "partitions_not_used",
            topic=topic.name,
            found=partitions,
            used=used,
            unread=unread[topic],
        )


def _written(
    client: AdminClient, settings: Settings, topics: Mapping[Topic, int]
) -> dict[Topic, int]:
    """How many offsets were ever given in the partitions of *topics* that are not used."""
    places = {
        TopicPartition(prefixed(settings, topic), number): topic
        for topic, partitions in topics.items()
        for number in range(settings.kafka.partitions, partitions)
    }
    counts = dict.fromkeys(topics, 0)
    answers = client.list_offsets(
        dict.fromkeys(places, OffsetSpec.latest()), request_timeout=_REQUEST_SECONDS
    )
    for place, answer in answers.items():
        try:
            counts[places[place]] += answer.result().offset
        except KafkaException as error:
            raise Unavailable("kafka") from error
    return counts
