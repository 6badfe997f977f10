"""The topic of dead letters: reading it whole, and sending a record again to where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from customeros.connectors.segment.calls import Envelope, Interpreter
from customeros.runtime.clients import consumer, producer
from customeros.runtime.config import Config
from customeros.runtime.errors import Unavailable
from customeros.runtime.secrets import Secrets
from customeros.runtime.settings import Settings
from customeros.schemas.codec import DEAD_LETTER, EVENT
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.topics import DEAD_LETTERS, EVENTS, topic_key

_ANSWER_SECONDS: Final = 10.0
_CHUNK: Final = 1_000


class Found(NamedTuple):
    """A dead letter and its place: `partition-offset`, by which people name it."""

    id: str
    letter: DeadLetter


def read_dead_letters(settings: Settings) -> Iterator[Found]:
    """
    Every dead letter that the topic holds now, by partition and offset.

    Raises:
        Unavailable: the broker does not answer.
    """
    topic = settings.kafka.topic_prefix + DEAD_LETTERS.name
    reader = consumer(settings, None, **{"enable.partition.eof": True})
    try:
        known = reader.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in known])
        unread = set(known)
        while unread:
            messages = reader.consume(_CHUNK, timeout=_ANSWER_SECONDS)
            if not messages:
                raise Unavailable("kafka")
            for message in messages:
                error = message.error()
                if error is None:
                    letter = DEAD_LETTER.decode(message.value() or b"")
                    yield Found(f"{message.partition()}-{message.offset()}", letter)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise Unavailable("kafka")
    except KafkaException as error:
        raise Unavailable("kafka") from error
    finally:
        reader.close()


class Replay:
    """Sends dead letters again; `close` says how many the broker did not take."""

    def __init__(self, settings: Settings, config: Config, secrets: Secrets) -> None:
        self._settings = settings
        self._config = config
        self._secrets = secrets
        self._producer = producer(settings)

    def send(self, found: Found) -> str | None:
        """
        Send one record again; None, or why it is refused.

        A call that the collector refused is read anew with today's rules. Any other record goes
        back, byte for byte, to the topic where it was.
        """
        letter = found.letter
        origin = letter.origin.topic
        if origin is not None:
            self._produce(origin, letter.key, letter.value)
            return None
        workspace = self._config.workspaces.get(letter.workspace)
        source = workspace and workspace.sources.get(letter.source)
        if not workspace or not source:
            return f"the configuration has no source {letter.workspace}/{letter.source}"
        interpreter = Interpreter(
            workspace=workspace.name,
            source=source.name,
            rules=workspace.identifiers,
            workspace_key=self._secrets.workspace_key(workspace.name),
            default_currency=source.default_currency,
        )
        # The place in the topic stands for the request: replayed twice, it is the same event.
        envelope = Envelope(f"dead-letter-{found.id}", letter.failed_at)
        kind = letter.key.decode() if letter.key else None
        outcome = interpreter.interpret(letter.value, envelope, kind=kind, index=0)
        if isinstance(outcome, DeadLetter):
            return f"{outcome.reason}: {outcome.detail}"
        key = topic_key(outcome.workspace, outcome.identifier_keys[0])
        self._produce(EVENTS[outcome.family].name, key, EVENT.encode(outcome))
        return None

    def close(self) -> None:
        """
        Wait until the broker has everything.

        Raises:
            Unavailable: it does not; what was not taken is still a dead letter.
        """
        if self._producer.flush(_ANSWER_SECONDS):
            raise Unavailable("kafka")

    def _produce(self, topic: str, key: bytes | None, value: bytes) -> None:
        self._producer.produce(self._settings.kafka.topic_prefix + topic, value, key)
