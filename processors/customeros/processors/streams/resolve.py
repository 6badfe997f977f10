"""Whose event is it? Attribute it, fold it at its identifier, tell the graph what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from customeros.processors.accounts.model import NOBODY
from customeros.processors.configured import rules_of
from customeros.processors.enrichment.context import enrich, page, touch
from customeros.processors.identity.rules import Rules
from customeros.processors.profile.model import MAX_AMOUNT, Fact
from customeros.processors.streams.account_parts import Naming, followed
from customeros.processors.streams.attribution import resolved_bytes
from customeros.processors.streams.changes import moved
from customeros.processors.streams.deduplication import HOUR_MS, first_time
from customeros.processors.streams.identifier import (
    IDENTIFIERS,
    Known,
    Sighting,
    decode_sighting,
    endpoint,
)
from customeros.processors.streams.learning import Learning, seen
from customeros.runtime.config import Config
from customeros.runtime.metrics import DUPLICATES
from customeros.runtime.settings import Settings
from customeros.runtime.stream import Batch, Output, Record, State, dead_letter
from customeros.schemas.codec import ASSIGNMENT, EVENT
from customeros.schemas.event import Event
from customeros.schemas.identifier import IdentifierKey, customer_id
from customeros.schemas.identity import Assignment
from customeros.schemas.topics import (
    ASSIGNMENTS,
    EVENTS,
    RESOLVED,
    SIGHTINGS,
    Topic,
    event_key,
    topic_key,
)

STAGE: Final = "resolve"
_YEAR_10000_MS: Final = 253_402_300_800_000


class ResolveProcessor:
    """
    The stage `resolve`, keyed by the primary identifier of an event.

    Args:
        rules: by workspace; one that is not named has the default rules.
        priorities: by (workspace, source); 0 where not named.
        window_ms: an event sent again within this time is dropped.
    """

    stage: Final = STAGE
    sources: Final[Mapping[Topic, Callable[[bytes], Any]]] = {
        **dict.fromkeys(EVENTS.values(), EVENT.decode),
        ASSIGNMENTS: ASSIGNMENT.decode,
        SIGHTINGS: decode_sighting,
    }

    def __init__(
        self,
        rules: Mapping[str, Rules],
        priorities: Mapping[tuple[str, str], int],
        *,
        window_ms: int = 24 * HOUR_MS,
    ) -> None:
        self._rules = dict(rules)
        self._priorities = priorities
        self._window_ms = window_ms
        self._duplicates = DUPLICATES.labels(STAGE)

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        by_topic = {batch.topic: batch for batch in batches}
        outputs: list[Output] = []
        if (assignments := by_topic.pop(ASSIGNMENTS, None)) is not None:
            outputs += self._assigned(state, assignments)
        if (sightings := by_topic.pop(SIGHTINGS, None)) is not None:
            outputs += self._sighted(state, sightings)
        return outputs + self._happened(state, by_topic.values())

    def _happened(self, state: State, batches: Iterable[Batch]) -> list[Output]:
        """Take events of all families together, so that an identifier learns and tells once."""
        outputs: list[Output] = []
        keyed: list[tuple[bytes, Event, bytes | None]] = []
        for batch in batches:
            records, given_up = _usable(batch)
            outputs += given_up
            events = [record.value for record in records]
            fresh = first_time(state, batch, events, window_ms=self._window_ms)
            self._duplicates.inc(len(fresh) - sum(fresh))
            keyed += [
                (record.key, record.value, record.raw)
                for record, new in zip(records, fresh, strict=True)
                if new and record.key
            ]
        known = state.get_many(IDENTIFIERS, {key for key, _, _ in keyed})
        learning: dict[bytes, Learning] = {}
        naming = Naming()
        for key, event, raw in keyed:
            if not event.identifier_keys:
                outputs.append(self._of_account_alone(key, event, raw, naming))
                continue
            learner = learning.get(key)
            if learner is None:
                learner = learning[key] = self._learner(event, known.get(key))
            if event.occurred_at <= learner.erased_at:
                continue
            enrichment = enrich(event)
            fact = self._fact(event, enrichment)
            learner.learn(fact)
            if event.account_id:
                naming.learn(learner.nid, fact)
            outputs.append(
                Output(
                    RESOLVED,
                    topic_key(event.workspace, learner.customer_id),
                    resolved_bytes(
                        event,
                        raw,
                        customer_id=learner.customer_id,
                        assignment_version=learner.assignment_version,
                        enrichment=enrichment,
                    ),
                )
            )
        for key, learner in learning.items():
            after, told = learner.learned()
            if after is not None:
                state.put(IDENTIFIERS, key, after)
                outputs.extend(told)
                outputs.extend(naming.told(state, learner, after))
        outputs.extend(naming.told_by_nobody(state))
        return outputs

    def _of_account_alone(
        self, key: bytes, event: Event, raw: bytes | None, naming: Naming
    ) -> Output:
        """Take an event that is an organisation's and nobody's."""
        enrichment = enrich(event)
        naming.learn(NOBODY, self._fact(event, enrichment))
        resolved = resolved_bytes(
            event, raw, customer_id=NOBODY, assignment_version=0, enrichment=enrichment
        )
        return Output(RESOLVED, key, resolved)

    def _fact(self, event: Event, enrichment: Mapping[str, str]) -> Fact:
        priority = self._priorities.get((event.workspace, event.source), 0)
        return Fact(event, priority, touch(enrichment), page(event))

    def _learner(self, event: Event, known: Known | None) -> Learning:
        nid = event.identifier_keys[0]
        if known is None:
            assert event.personal is not None  # noqa: S101 - `unusable` looked
            known = unknown(event.workspace, nid, event.personal.identifiers[0].type)
        return Learning(event.workspace, nid, known, self._rules_of(event.workspace))

    def _sighted(self, state: State, batch: Batch) -> list[Output]:
        sightings: list[Sighting] = [r.value for r in batch.records if r.value is not None]
        keys = [topic_key(s.workspace, s.nid) for s in sightings]
        known = state.get_many(IDENTIFIERS, set(keys))
        learning: dict[bytes, Learning] = {}
        for key, sighting in zip(keys, sightings, strict=True):
            learner = learning.get(key)
            if learner is None:
                learner = learning[key] = Learning(
                    sighting.workspace,
                    sighting.nid,
                    known.get(key) or unknown(sighting.workspace, sighting.nid, sighting.type),
                    self._rules_of(sighting.workspace),
                )
            learner.sighted(sighting)
        outputs: list[Output] = []
        for key, learner in learning.items():
            after, told = learner.learned()
            if after is not None:
                state.put(IDENTIFIERS, key, after)
                outputs.extend(told)
        return outputs

    def _assigned(self, state: State, batch: Batch) -> list[Output]:
        newest: dict[bytes, Assignment] = {}
        for record in batch.records:
            assignment: Assignment | None = record.value
            if assignment is not None:
                key = topic_key(assignment.workspace, assignment.key)
                other = newest.get(key)
                if other is None or other.version < assignment.version:
                    newest[key] = assignment
        known = state.get_many(IDENTIFIERS, newest)
        outputs: list[Output] = []
        for key, assignment in newest.items():
            workspace, nid = assignment.workspace, assignment.key
            before = known.get(key) or unknown(workspace, nid, assignment.type)
            if assignment.version > before.assignment_version:
                after, told = moved(workspace, nid, before, assignment)
                first = after.first
                if after.told is None and first is not None:
                    after = msgspec.structs.replace(after, told=first)
                    point = endpoint(nid, after.type, first, after.epoch)
                    outputs.append(seen(workspace, point))
                state.put(IDENTIFIERS, key, after)
                outputs.extend(told)
                outputs.extend(followed(state, workspace, nid, before, after))
        return outputs

    def _rules_of(self, workspace: str) -> Rules:
        rules = self._rules.get(workspace)
        if rules is None:
            rules = self._rules[workspace] = Rules(workspace=workspace)
        return rules


def build_resolve(config: Config, settings: Settings) -> ResolveProcessor:
    """The stage as *config* has its workspaces and sources."""
    workspaces = config.workspaces.values()
    return ResolveProcessor(
        {w.name: rules_of(w) for w in workspaces},
        {(w.name, s.name): s.priority for w in workspaces for s in w.sources.values()},
        window_ms=settings.worker.dedupe_hours * HOUR_MS,
    )


def _usable(batch: Batch) -> tuple[list[Record], list[Output]]:
    """The events that can be taken, and those that cannot as dead letters."""
    records: list[Record] = []
    given_up: list[Output] = []
    for record in batch.records:
        event: Event | None = record.value
        if event is None:
            continue
        reason = unusable(event, record.key)
        if reason is None:
            records.append(record)
        else:
            given_up.append(
                dead_letter(
                    STAGE, batch, record, reason, workspace=event.workspace, source=event.source
                )
            )
    return records, given_up


def unknown(workspace: str, nid: str, kind: str) -> Known:
    """The record of an identifier of which nothing is known: it is a customer of its own."""
    return Known(kind, customer_id(workspace, IdentifierKey(nid)))


def unusable(event: Event, key: bytes | None) -> str | None:
    """Why *event*, which came under *key*, cannot be attributed or summed; None: it can."""
    personal = event.personal
    own = event_key(event)
    if own is None:
        return "no_identifier"
    if personal is None or len(personal.identifiers) != len(event.identifier_keys):
        return "misaligned_identifiers"
    if key != own:
        return "misrouted"
    if not 0 <= event.occurred_at < _YEAR_10000_MS:
        return "time_out_of_range"
    order = event.order
    if order is not None and not (
        abs(order.total.amount) <= MAX_AMOUNT
        and all(abs(line.quantity) <= MAX_AMOUNT for line in order.lines)
    ):
        return "amount_out_of_range"
    return None
