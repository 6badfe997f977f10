"""Topics as they have to be: created where missing, refused where different."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from customeros.runtime.clients import admin
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.settings import Settings
from customeros.schemas.topics import Topic

_REQUEST_SECONDS: Final = 10.0
# A topic just created is not yet known to every broker.
_SPREAD_SECONDS: Final = 10.0
_CLEANUP: Final = "cleanup.policy"


class FoundTopic(NamedTuple):
    """A topic as the broker has it; `id` differs from that of an earlier topic of its name."""

    id: str
    partitions: int
    cleanup: str


def prefixed(settings: Settings, topic: Topic) -> str:
    """The name of *topic* on the broker."""
    return settings.kafka.topic_prefix + topic.name


def ensure_topics(settings: Settings, topics: Iterable[Topic]) -> None:
    """
    Create those of *topics* that are missing; calling twice is harmless.

    Raises:
        Misconfigured: one is there but has other partitions or another cleanup policy.
        Unavailable: the broker does not answer.
    """
    client, wanted = admin(settings), tuple(topics)
    found = find_topics(settings, wanted, client)
    if missing := [topic for topic in wanted if topic not in found]:
        _create(client, settings, missing)
        end = time.monotonic() + _SPREAD_SECONDS
        while len(find_topics(settings, missing, client)) < len(missing):
            if time.monotonic() > end:
                raise Unavailable("kafka")
            time.sleep(0.05)
    check_topics(settings, wanted)


def check_topics(settings: Settings, topics: Iterable[Topic]) -> Mapping[Topic, FoundTopic]:
    """
    How the broker has *topics*.

    Raises:
        Misconfigured: one is missing, or has other partitions or another cleanup policy.
        Unavailable: the broker does not answer.
    """
    wanted = tuple(topics)
    found = find_topics(settings, wanted)
    if problems := [
        problem
        for topic in wanted
        for problem in _differences(topic, found.get(topic), settings.kafka.partitions)
    ]:
        raise Misconfigured("; ".join(problems))
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
    cleanup = {resource.name: config[_CLEANUP].value for resource, config in configs.items()}
    return {
        by_name[name]: FoundTopic(str(topic.topic_id), len(topic.partitions), cleanup[name])
        for name, topic in described.items()
        if name in cleanup
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
            config=topic.config,
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


def _differences(topic: Topic, found: FoundTopic | None, partitions: int) -> list[str]:
    if found is None:
        return [f"topic {topic.name} is missing: run `customeros topics create`"]
    problems = []
    if found.partitions != partitions:
        problems.append(
            f"topic {topic.name} has {found.partitions} partitions, expected {partitions}: "
            f"set CUSTOMEROS_KAFKA__PARTITIONS={found.partitions}, or delete the topics"
        )
    if found.cleanup != topic.cleanup:
        problems.append(
            f"topic {topic.name} has {_CLEANUP}={found.cleanup}, expected {topic.cleanup.value}: "
            f"alter it"
        )
    return problems
