"""Kafka clients with the defaults that the delivery promises rest on."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient

from customeros.runtime.errors import Unavailable
from customeros.runtime.partitioner import partition_of
from customeros.runtime.settings import Settings

_LOG: Final = logging.getLogger("librdkafka")
_QUIET: Final[dict[str, Any]] = {"logger": _LOG, "log.connection.close": False}


_produce: Final = Producer.produce


class _Producer(Producer):
    """
    Puts a key where it was when the topics were made, also after somebody has added partitions.

    librdkafka chooses among all that the broker has at the moment, and a key would have two places.
    """

    def __init__(self, configuration: dict[str, Any], partitions: int) -> None:
        super().__init__(configuration)
        self._partitions = partitions

    def produce(  # type: ignore[override]  # each name costs time, and nobody uses the others
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int = -1,
        on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
        *,
        timestamp: int = 0,
    ) -> None:
        if partition < 0:
            partition = partition_of(key or b"", self._partitions)
        _produce(self, topic, value, key, partition, on_delivery, None, timestamp)


def producer(settings: Settings, **overrides: Any) -> Producer:
    """
    A producer whose acknowledged records are on every in-sync replica, once and in order.

    It puts a key into one of as many partitions as are configured, whatever the broker has.

    Args:
        overrides: librdkafka's own names, as in `**{"transactional.id": "resolve-0"}`.
    """
    return _Producer(
        {
            **settings.kafka_client,
            **_QUIET,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            **overrides,
        },
        settings.kafka.partitions,
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


def send(producer: Producer, *record: Any) -> None:
    """`Producer.produce`, once its queue has room."""
    while True:
        try:
            producer.produce(*record)
            return
        except BufferError:
            producer.poll(0.01)


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
        send(producer, topic, value, key, -1, delivered)
        producer.poll(0)
        count += 1
    producer.flush(seconds)
    if answers.count(None) < count:
        raise Unavailable("kafka")
    return count


def admin(settings: Settings) -> AdminClient:
    """A client that creates and describes topics."""
    return AdminClient({**settings.kafka_client, **_QUIET})


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """For clients of Python's own, which librdkafka is not; None: the broker is asked in clear."""
    kafka = settings.kafka
    if not kafka.security_protocol.endswith("SSL"):
        return None
    return ssl.create_default_context(cafile=kafka.ssl_ca_location)


def group_id(settings: Settings, group: str) -> str:
    """The consumer group *group* of this generation; two prefixes share no offsets."""
    return f"{settings.prefix}{group}"
