"""Do records wait that a consumer group has not committed? Asked of the broker itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from customeros.runtime.clients import consumer
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings

_ANSWER_SECONDS: Final = 5.0
# One record is enough to know.
_QUEUED_KB: Final = 1_024


class Backlog:
    """What waits for *group*; this reads beside it and never joins it. For one thread."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._reader = consumer(
            settings,
            group,
            **{"enable.partition.eof": True, "queued.max.messages.kbytes": _QUEUED_KB},
        )

    def waits(self, places: Iterable[tuple[str, int]]) -> bool:
        """
        Whether there is a committed record in one of *places*, topics by name and partitions, past
        what the group has committed; a transaction's marker is none.

        Raises:
            Unavailable: the broker does not answer.
        """
        asked = [TopicPartition(*place) for place in places]
        if not asked:
            return False
        try:
            found = self._reader.committed(asked, _ANSWER_SECONDS)
            self._reader.assign(
                [
                    TopicPartition(p.topic, p.partition, max(p.offset, OFFSET_BEGINNING))
                    for p in found
                ]
            )
            try:
                return self._reads_one(len(asked))
            finally:
                self._reader.unassign()
        except KafkaException as error:
            raise Unavailable("kafka") from error

    def _reads_one(self, places: int) -> bool:
        ended: set[tuple[str | None, int | None]] = set()
        while len(ended) < places:
            message = self._reader.poll(_ANSWER_SECONDS)
            if message is None:
                raise Unavailable("kafka")
            error = message.error()
            if error is None:
                return True
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            ended.add((message.topic(), message.partition()))
        return False
