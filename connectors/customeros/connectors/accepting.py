"""Take a request of the tracking API in: who sends, what it says, and that Kafka has it."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, assert_never

from customeros.connectors import answers
from customeros.connectors.answers import Answer, Headers, refusal
from customeros.connectors.outbox import Record
from customeros.connectors.publisher import Publisher
from customeros.connectors.requests import Body, Receive, Refused, basic_user
from customeros.connectors.room import Allowance, Overloaded
from customeros.connectors.segment import (
    CALL_TYPES,
    Batch,
    Envelope,
    Interpreter,
    Malformed,
    Outcome,
    read_batch,
    read_call,
)
from customeros.connectors.segment.calls import STAGE
from customeros.runtime import metrics
from customeros.runtime.config import Config, Source
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import DEAD_LETTER, EVENT
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.topics import DEAD_LETTERS, EVENTS, event_key, topic_key

# Path to the type of its one call; None: a batch, whose calls say their own.
ENDPOINTS: Final[Mapping[str, str | None]] = {
    "/v1/batch": None,
    "/v1/b": None,
    **{f"/v1/{kind}": kind for kind in CALL_TYPES},
    **{f"/v1/{kind[0]}": kind for kind in CALL_TYPES},
}
_STATUS_OF: Final = {"too_large": 413, "too_many_calls": 413}


class Accepting:
    """The tracking endpoints: from a request to its answer."""

    def __init__(
        self,
        config: Config,
        settings: Settings,
        workspace_key: Callable[[str], bytes],
        publisher: Publisher,
        *,
        allowance: Allowance,
        clock: Callable[[], int],
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._allowance = allowance
        self._clock = clock
        self._interpreters = {
            (workspace.name, source.name): Interpreter(
                workspace=workspace.name,
                source=source.name,
                rules=workspace.identifiers,
                workspace_key=workspace_key(workspace.name),
                default_currency=source.default_currency or workspace.default_currency,
            )
            for workspace in config.workspaces.values()
            for source in workspace.sources.values()
        }
        self._topics = {family: prefixed(settings, topic) for family, topic in EVENTS.items()}
        self._dead_letters = prefixed(settings, DEAD_LETTERS)

    async def accept(self, path: str, asked: Headers, receive: Receive) -> Answer:
        """The answer to a POST; 200 says that Kafka has every call, as event or as dead letter."""
        try:
            outcomes = await self._take_in(path, asked, receive)
        except (Refused, Malformed, Overloaded, Unavailable) as error:
            return _answer_to(error)
        _count(outcomes)
        return answers.ACCEPTED

    async def _take_in(self, path: str, asked: Headers, receive: Receive) -> list[Outcome]:
        self._check_room()
        write_key = basic_user(asked)
        source = self._source(write_key) if write_key is not None else None
        with Body(self._allowance) as body:
            kind = ENDPOINTS[path]
            read = read_batch if kind is None else read_call
            said = await body.read(receive)
            # Once more: others came meanwhile, and this is where a request begins to cost.
            self._check_room()
            outcomes = self._interpret(read(said), source, kind)
            await self._publisher.publish([self._record(outcome) for outcome in outcomes])
        return outcomes

    def _check_room(self) -> None:
        if not self._publisher.ready:
            raise Unavailable("kafka")
        if self._publisher.congested:
            raise Overloaded

    def _source(self, write_key: str) -> Source:
        source = self._config.source_by_write_key(write_key)
        if source is None:
            raise Refused(answers.UNKNOWN_WRITE_KEY)
        return source

    def _interpret(self, batch: Batch, source: Source | None, kind: str | None) -> list[Outcome]:
        """Args: source: that the request's head names; else the body does."""
        source = source or self._source(batch.write_key or "")
        interpreter = self._interpreters[source.workspace, source.name]
        envelope = Envelope(secrets.token_hex(16), self._clock(), batch.sent_at, batch.context)
        return [
            interpreter.interpret(call, envelope, kind=kind, index=index)
            for index, call in enumerate(batch.calls)
        ]

    def _record(self, outcome: Outcome) -> Record:
        if isinstance(outcome, DeadLetter):
            return Record(
                self._dead_letters,
                topic_key(outcome.workspace, outcome.source),
                DEAD_LETTER.encode(outcome),
            )
        key = event_key(outcome)
        assert key is not None  # noqa: S101 - what names nobody was refused
        return Record(self._topics[outcome.family], key, EVENT.encode(outcome))


def _answer_to(error: Refused | Malformed | Overloaded | Unavailable) -> Answer:
    match error:
        case Refused():
            return error.answer
        case Malformed():
            return refusal(_STATUS_OF.get(error.code, 400), error.code, error.detail)
        case Overloaded():
            return answers.OVERLOADED
        case Unavailable():
            return answers.UNAVAILABLE
        case _:
            assert_never(error)


def _count(outcomes: Iterable[Outcome]) -> None:
    counted = Counter(
        (metrics.DEAD_LETTERS, (STAGE, outcome.reason))
        if isinstance(outcome, DeadLetter)
        else (metrics.EVENTS_ACCEPTED, (outcome.family,))
        for outcome in outcomes
    )
    for (metric, labels), number in counted.items():
        metrics.labelled(metric, *labels).inc(number)
