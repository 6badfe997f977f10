"""Commit one partition's transactions; whoever opened it last is the only one who can."""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from customeros.runtime.clients import producer
from customeros.runtime.errors import Fenced
from customeros.runtime.settings import Settings
from customeros.runtime.stream.fold import Sealed
from customeros.runtime.topics import prefixed

# A dead owner's open transaction holds up readers of committed records at most this long; its
# successor ends it at once.
_TRANSACTION_MS: Final = 10_000
# Longer than a coordinator takes to fail over.
_ANSWER_SECONDS: Final = 30.0
_FENCED: Final = frozenset(
    (
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    )
)


class Transactor:
    """
    The right to write for *transactional_id*, taken from whoever had it before.

    Raises:
        KafkaException: the broker did not answer in time.
    """

    def __init__(
        self, settings: Settings, transactional_id: str, changelog: TopicPartition
    ) -> None:
        self._settings = settings
        self._changelog = changelog
        self._names: dict[str, str] = {}
        self._producer = producer(
            settings,
            **{
                "transactional.id": transactional_id,
                "transaction.timeout.ms": _TRANSACTION_MS,
                "batch.num.messages": 10_000,
                "queue.buffering.max.kbytes": 131_072,
            },
        )
        self._producer.init_transactions(_ANSWER_SECONDS)

    def commit(self, sealed: Sealed) -> int:
        """
        Outputs and changelog records of *sealed*, all or none; the offset of the last of the
        changelog, which is the partition's newest.

        Raises:
            Fenced: a successor has the right now.
            KafkaException: not committed, for as long as anybody can tell.
        """
        last = -1

        def remember(error: KafkaError | None, message: Message) -> None:
            nonlocal last
            if error is None:
                last = message.offset() or 0

        try:
            self._producer.begin_transaction()
            for output in sealed.outputs:
                self._send(prefixed(self._settings, output.topic), output.value, output.key)
            rest = len(sealed.writes)
            topic, partition = self._changelog.topic, self._changelog.partition
            for key, value in sealed.writes.items():
                rest -= 1
                if rest:
                    self._send(topic, value, key, partition)
                else:
                    self._send(topic, value, key, partition, on_delivery=remember)
            # Delivery reports have to be served before the commit; a failed one fails it.
            self._producer.flush(_ANSWER_SECONDS)
            self._producer.commit_transaction(_ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in _FENCED:
                raise Fenced(f"{topic_of(self._changelog)} has a successor") from error
            raise
        if last < 0:
            raise RuntimeError("committed, but the changelog's offset is unknown")
        return last

    def _send(self, *args: Any, **kwargs: Any) -> None:
        while True:
            try:
                self._producer.produce(*args, **kwargs)
                return
            except BufferError:
                self._producer.poll(0.01)


def topic_of(place: TopicPartition) -> str:
    """`topic[partition]`, as people write it."""
    return f"{place.topic}[{place.partition}]"
