"""Kafka clients with the defaults that the delivery promises rest on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient

from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings

_LOG: Final = logging.getLogger("librdkafka")
_QUIET: Final[dict[str, Any]] = {"logger": _LOG, "log.connection.close": False}


def producer(settings: Settings, **overrides: Any) -> Producer:
    """
    A producer whose acknowledged records are on every in-sync replica, once and in order.

    Args:
        overrides: librdkafka's own names, as in `**{"transactional.id": "resolve-0"}`.
    """
    return Producer(
        {
            **settings.kafka_client,
            **_QUIET,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            # The Java client's, so that any language finds a key in the same partition.
            "partitioner": "murmur2_random",
            **overrides,
        }
    )


def consumer(settings: Settings, group: str | None = None, **overrides: Any) -> Consumer:
    """
    A consumer of committed records that commits offsets only when told to.

    Args:
        group: without the prefix; None for one that is assigned partitions and never commits.
        overrides: librdkafka's own names.
    """
    return Consumer(
        {
            **settings.kafka_client,
            **_QUIET,
            "group.id": group_id(settings, group or "reader"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **overrides,
        }
    )


def deliver(
    producer: Producer, records: Iterable[tuple[str, bytes | None, bytes]], *, seconds: float
) -> int:
    """
    Have all *records* (topic, key, value) acknowledged; how many it were. Any thread may.

    Raises:
        Unavailable: not all were in time; these may have arrived all the same.
    """
    answers: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        answers.append(error)

    count = 0
    for topic, key, value in records:
        producer.produce(topic, value, key, on_delivery=delivered)
        producer.poll(0)
        count += 1
    producer.flush(seconds)
    if answers.count(None) < count:
        raise Unavailable("kafka")
    return count


def admin(settings: Settings) -> AdminClient:
    """A client that creates and describes topics."""
    return AdminClient({**settings.kafka_client, **_QUIET})


def group_id(settings: Settings, group: str) -> str:
    """The consumer group *group* of this generation; two prefixes share no offsets."""
    return f"{settings.prefix}{group}"
