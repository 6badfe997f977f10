"""The topic of dead letters: reading it whole, and sending a record again to where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, Message

from customeros.connectors.segment.calls import Envelope, Interpreter
from customeros.ops.spans import read, spans
from customeros.runtime.clients import producer
from customeros.runtime.config import Config
from customeros.runtime.errors import Unavailable
from customeros.runtime.secrets import Secrets
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import DEAD_LETTER, EVENT, EVIDENCE, AvroCodec, Undecodable
from customeros.schemas.dead_letter import DeadLetter, Origin
from customeros.schemas.topics import (
    ACCOUNT_CONTRIBUTIONS,
    CONTRIBUTIONS,
    DEAD_LETTERS,
    EVENTS,
    SIGHTINGS,
    Topic,
    event_key,
)
from customeros.schemas.topics import (
    EVIDENCE as EVIDENCE_TOPIC,
)

_ANSWER_SECONDS: Final = 10.0

# Where a record may go again, and what it must be: what reads these takes a repeated record once.
# The other topics hold outcomes, where it would count twice or stand for a newer one.
_INPUTS: Final[Mapping[Topic, AvroCodec[Any] | None]] = {
    **dict.fromkeys(EVENTS.values(), EVENT),
    EVIDENCE_TOPIC: EVIDENCE,
    SIGHTINGS: None,
    CONTRIBUTIONS: None,
    ACCOUNT_CONTRIBUTIONS: None,
}


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
    for message in read(settings, spans(settings, [DEAD_LETTERS])):
        yield Found(f"{message.partition()}-{message.offset()}", _letter(message))


def _letter(message: Message) -> DeadLetter:
    """What is no dead letter at all is one itself, so that nobody has to guess what is there."""
    value = message.value() or b""
    try:
        return DEAD_LETTER.decode(value)
    except Undecodable as error:
        _, milliseconds = message.timestamp()
        place = Origin(
            topic=DEAD_LETTERS.name, partition=message.partition(), offset=message.offset()
        )
        return DeadLetter(
            workspace="",
            source="",
            stage="",
            reason="undecodable",
            detail=str(error),
            origin=place,
            failed_at=milliseconds,
            key=message.key(),
            value=value,
        )


class Replay:
    """Sends dead letters again; they are with the broker when `close` returns."""

    def __init__(self, settings: Settings, config: Config, secrets: Secrets) -> None:
        self._settings = settings
        self._config = config
        self._secrets = secrets
        self._producer = producer(settings)
        self._lost = 0

    def send(self, found: Found) -> str | None:
        """
        Send one record again; None, or why it is refused.

        A call that the collector refused is read anew with today's rules. Any other record goes
        back, byte for byte, to the topic where it was.
        """
        letter = found.letter
        origin = letter.origin.topic
        if origin is not None:
            return self._send_back(origin, letter)
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
        key = event_key(outcome)
        assert key is not None  # noqa: S101 - what names nobody was refused
        self._produce(EVENTS[outcome.family], key, EVENT.encode(outcome))
        return None

    def close(self) -> None:
        """
        Wait until the broker has everything.

        Raises:
            Unavailable: it does not; what was not taken is still a dead letter.
        """
        if self._producer.flush(_ANSWER_SECONDS) or self._lost:
            raise Unavailable("kafka")

    def _send_back(self, origin: str, letter: DeadLetter) -> str | None:
        topic = next((topic for topic in _INPUTS if topic.name == origin), None)
        if topic is None:
            return f"{origin} holds outcomes: sent again it could count twice or undo a newer one"
        codec = _INPUTS[topic]
        try:
            if codec is not None:
                codec.decode(letter.value)
        except Undecodable as error:
            return f"undecodable: {error}"
        self._produce(topic, letter.key, letter.value)
        return None

    def _produce(self, topic: Topic, key: bytes | None, value: bytes) -> None:
        name = prefixed(self._settings, topic)
        try:
            self._producer.produce(name, value, key, on_delivery=self._delivered)
        except BufferError:
            self.close()
            self._producer.produce(name, value, key, on_delivery=self._delivered)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._lost += error is not None
