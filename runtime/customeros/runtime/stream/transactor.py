"""Commit one partition's transactions; whoever opened it last is the only one who can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from customeros.runtime.clients import producer, send
from customeros.runtime.errors import Fenced
from customeros.runtime.metrics import UNAVAILABLE
from customeros.runtime.settings import Settings
from customeros.runtime.stream.fold import Sealed
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import Topic

_LOG: Final = structlog.get_logger()
# A dead owner's open transaction holds up readers of committed records at most this long, if it
# has no successor, who ends it at once. A broker that is back within it finds the transaction as it
# was; one that was away for longer ends it as if there were a successor. It allows 15 min at most.
_TRANSACTION_MS: Final = 300_000
# After so long without an answer the same is asked again.
_ANSWER_SECONDS: Final = 30.0
_FENCED: Final = frozenset(
    (
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    )
)


class Lost(Exception):
    """
    The broker does not know the transaction any more, and nobody can tell what became of it.

    It asks for the epoch first: whoever hears this has no successor.
    """


class Transactor:
    """
    The right to write for *transactional_id*, taken from whoever had it before.

    Whatever is asked of a broker that is away is asked until it is back.

    Raises:
        KafkaException: the broker refuses it.
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
        _until_answered(self._producer.init_transactions)

    def commit(self, sealed: Sealed) -> int:
        """
        Outputs and changelog records of *sealed*, all or none; the offset of the last of the
        changelog, which is the partition's newest.

        A transaction that the broker's absence broke is aborted and made again.

        Raises:
            Fenced: a successor has the right now.
            Lost: this one is of no more use; its next one has to see what is committed.
            KafkaException: not committed, for as long as anybody can tell.
        """
        try:
            while True:
                try:
                    return self._transact(sealed)
                except KafkaException as error:
                    if not error.args[0].txn_requires_abort():
                        raise
                    _LOG.warning(
                        "transaction_repeated",
                        place=topic_of(self._changelog),
                        code=error.args[0].name(),
                    )
                _until_answered(self._producer.abort_transaction)
        except KafkaException as error:
            code = error.args[0].code()
            if code in _FENCED:
                raise Fenced(f"{topic_of(self._changelog)} has a successor") from error
            if code == KafkaError.INVALID_TXN_STATE:
                raise Lost(topic_of(self._changelog)) from error
            raise

    def _transact(self, sealed: Sealed) -> int:
        last = -1

        def remember(error: KafkaError | None, message: Message) -> None:
            nonlocal last
            if error is None:
                last = message.offset() or 0

        self._producer.begin_transaction()
        for output in sealed.outputs:
            send(self._producer, self._name(output.topic), output.value, output.key)
        rest = len(sealed.writes)
        topic, partition = self._changelog.topic, self._changelog.partition
        for key, value in sealed.writes.items():
            rest -= 1
            if rest:
                send(self._producer, topic, value, key, partition)
            else:
                send(self._producer, topic, value, key, partition, remember)
        # Delivery reports have to be served before the commit; a failed one fails it.
        self._producer.flush(_ANSWER_SECONDS)
        _until_answered(self._producer.commit_transaction)
        if last < 0:
            raise RuntimeError("committed, but the changelog's offset is unknown")
        return last

    def _name(self, topic: Topic) -> str:
        name = self._names.get(topic.name)
        if name is None:
            name = self._names[topic.name] = prefixed(self._settings, topic)
        return name


def topic_of(place: TopicPartition) -> str:
    """`topic[partition]`, as people write it."""
    return f"{place.topic}[{place.partition}]"


def _until_answered(ask: Callable[[float], object]) -> None:
    """Ask again for as long as there is no answer: it goes on where it was."""
    while True:
        try:
            ask(_ANSWER_SECONDS)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            UNAVAILABLE.labels("worker", "kafka").inc()
        else:
            return
