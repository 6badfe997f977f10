"""What one identifier learns in one batch, and whom it tells: each of them once."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from customeros.processors.identity.proofs import Kept, evidence_id, with_proof
from customeros.processors.identity.rules import Rules, rule_of
from customeros.processors.profile.fold import fold, fold_consent
from customeros.processors.profile.kept import first_purposes
from customeros.processors.profile.model import ConsentMark, Fact, First
from customeros.processors.streams.changes import contributed
from customeros.processors.streams.identifier import (
    Crowd,
    Known,
    Pair,
    Sighting,
    encode_sighting,
    endpoint,
)
from customeros.runtime.stream import Output
from customeros.schemas.codec import EVIDENCE
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Endpoint, Evidence, EvidenceKind, Link
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from customeros.schemas.topics import SIGHTINGS, topic_key


class _New(NamedTuple):
    """Evidence for a pair that the graph does not have yet, and what the other identifier is."""

    type: str
    epoch: int
    proofs: dict[tuple[str, str], Kept]  # by rule and source


class Learning:
    """An identifier's record while a batch is folded; `learned` closes it."""

    def __init__(self, workspace: str, nid: str, known: Known, rules: Rules) -> None:
        self.workspace = workspace
        self.nid = nid
        self.customer_id = known.customer_id
        self.assignment_version = known.assignment_version
        self.erased_at = known.erased_at
        self.accounts = known.profile.accounts
        self._known = known
        self._rules = rules
        self._value = known.value
        self._first = known.first
        self._told = known.told
        self._last_at = known.last_at
        self._consent = known.consent
        self._pairs = known.pairs
        self._facts: list[Fact] = []
        self._new: dict[str, _New] = {}
        self._sightings: dict[str, Sighting] = {}

    def learn(self, fact: Fact) -> None:
        """Take an event that is keyed by this identifier."""
        event = fact.event
        personal = event.personal
        assert personal is not None  # noqa: S101 - an event without it never comes here
        event_id = evidence_id(event.event_id)
        first = First(event.occurred_at, event_id, event.source)
        consent: dict[str, ConsentMark] = {}
        if event.consent:
            consent = fold_consent(
                consent,
                event.consent,
                occurred_at=event.occurred_at,
                event_id=event_id,
                source=event.source,
            )
        self._facts.append(fact)
        self._see(personal.identifiers[0].value, first, consent)
        self._last_at = max(self._last_at, event.occurred_at)
        others = zip(event.identifier_keys, personal.identifiers, strict=True)
        for other, identifier in others:
            if other != self.nid:
                self._beside(other, identifier, event.kind, first, consent)

    def sighted(self, sighting: Sighting) -> None:
        """Take what an event keyed by another identifier says of this one."""
        if sighting.first.occurred_at <= self.erased_at:
            return
        self._see(sighting.value, sighting.first, sighting.consent)
        if sighting.told and (self._told is None or sighting.first < self._told):
            self._told = sighting.first
        crowd = sighting.crowd
        if crowd is not None and (crowd.nid in self._pairs or self._has_room()):
            for proof in crowd.proofs:
                self._pair(crowd.nid, crowd.type, crowd.epoch, proof, last_at=0)

    def learned(self) -> tuple[Known | None, list[Output]]:
        """The new record, None if nothing changed, and what others are to know of it."""
        outputs = [
            self._linked(other, new, proof)
            for other, new in self._new.items()
            for proof in new.proofs.values()
        ]
        if self._new:
            self._told = self._first
        elif self._first is not None and self._bothers():
            self._told = self._first
            known = self._known
            outputs.append(
                seen(self.workspace, endpoint(self.nid, known.type, self._first, known.epoch))
            )
        outputs.extend(
            Output(
                SIGHTINGS,
                topic_key(self.workspace, other),
                encode_sighting(
                    msgspec.structs.replace(sighting, told=True) if other in self._new else sighting
                ),
            )
            for other, sighting in self._sightings.items()
        )
        was = self._known
        if self._facts or (self._first, self._consent) != (was.first, was.consent):
            known, changes = contributed(self.workspace, self.nid, self._replaced())
            return known, outputs + changes
        if self._told != was.told or self._pairs is not was.pairs:
            return self._replaced(), outputs
        return None, outputs

    def _replaced(self) -> Known:
        was = self._known
        return Known(
            type=was.type,
            customer_id=was.customer_id,
            value=self._value,
            first=self._first,
            told=self._told,
            epoch=was.epoch,
            erased_at=was.erased_at,
            assignment_version=was.assignment_version,
            sequence=was.sequence,
            last_at=self._last_at,
            pairs=self._pairs,
            consent=self._consent,
            profile=fold(was.profile, self._facts) if self._facts else was.profile,
            limit=was.limit,
        )

    def _see(self, value: str, first: First, consent: dict[str, ConsentMark]) -> None:
        self._value = value
        if self._first is None or first < self._first:
            self._first = first
        if consent:
            self._consent = _newest_consent(self._consent, consent)

    def _beside(
        self,
        other: str,
        identifier: Identifier,
        kind: str,
        first: First,
        consent: dict[str, ConsentMark],
    ) -> None:
        """Take that an event names *other* too: evidence if that is new, a sighting if told."""
        rule = rule_of(kind, self._known.type, identifier.type)
        proof = Kept(first.occurred_at, first.event_id, first.source, rule)
        pair = self._pairs.get(other)
        earlier, crowd = bool(consent) or pair is None, None
        if pair is not None or self._has_room():
            new = self._pair(other, identifier.type, 0, proof, last_at=first.occurred_at)
            earlier = earlier or (new and pair is not None and first < pair.first)
        else:
            crowd = Crowd(self.nid, self._known.type, self._known.epoch, (proof,))
        if earlier:
            self._sight(other, identifier, first, consent, crowd)

    def _has_room(self) -> bool:
        """
        Whether another neighbour is remembered.

        Two more than the degree let the graph quarantine this identifier, and know that there are
        more than it keeps. What comes then, its neighbours remember if they have room; a pair of
        two that have none changes nothing.
        """
        return len(self._pairs) < self._rules.degree(self._known.type) + 2

    def _pair(self, other: str, kind: str, epoch: int, proof: Kept, *, last_at: int) -> bool:
        """Remember *proof*; whether it is new evidence."""
        pair = self._pairs.get(other)
        if pair is None:
            after, new = Pair((proof,), last_at), True
        else:
            after = Pair(with_proof(pair.proofs, proof), max(last_at, pair.last_at))
            new = after.proofs is not pair.proofs
            if not new and after.last_at == pair.last_at:
                return False
        if new:
            if other not in self._new:
                self._new[other] = _New(kind, epoch, {})
            self._new[other].proofs[proof.rule, proof.source] = proof
        if self._pairs is self._known.pairs:
            self._pairs = self._pairs.copy()
        self._pairs[other] = after
        return new

    def _sight(
        self,
        other: str,
        identifier: Identifier,
        first: First,
        consent: dict[str, ConsentMark],
        crowd: Crowd | None,
    ) -> None:
        waiting = self._sightings.get(other)
        if waiting is not None:
            first = min(first, waiting.first)
            consent = _newest_consent(waiting.consent, consent)
            if waiting.crowd is not None:
                proofs = waiting.crowd.proofs
                for proof in crowd.proofs if crowd is not None else ():
                    proofs = with_proof(proofs, proof)
                crowd = msgspec.structs.replace(waiting.crowd, proofs=proofs)
        self._sightings[other] = Sighting(
            self.workspace, other, identifier.type, identifier.value, first, False, consent, crowd
        )

    def _linked(self, other: str, new: _New, proof: Kept) -> Output:
        assert self._first is not None  # noqa: S101 - a pair comes of an event
        return _evidence(
            Evidence(
                workspace=self.workspace,
                kind=EvidenceKind.LINK,
                link=Link(
                    a=endpoint(self.nid, self._known.type, self._first, self._known.epoch),
                    b=endpoint(other, new.type, self._pairs[other].first, new.epoch),
                    occurred_at=proof.occurred_at,
                    event_id=proof.event_id,
                    source=proof.source,
                    rule=proof.rule,
                ),
            )
        )

    def _bothers(self) -> bool:
        """Whether the graph, which knows the identifier, has to hear when it was first seen."""
        if self._told is None:
            return self.assignment_version > 0
        return self._first is not None and self._first < self._told


def seen(workspace: str, point: Endpoint) -> Output:
    """Tell the graph when an identifier was seen first."""
    return _evidence(Evidence(workspace=workspace, kind=EvidenceKind.SEEN, seen=point))


def _evidence(said: Evidence) -> Output:
    return Output(EVIDENCE_TOPIC, said.workspace.encode(), EVIDENCE.encode(said))


def _newest_consent(
    consent: dict[str, ConsentMark], more: dict[str, ConsentMark]
) -> dict[str, ConsentMark]:
    found = consent
    for purpose, mark in more.items():
        known = found.get(purpose)
        if known is None or mark > known:
            if found is consent:
                found = consent.copy()
            found[purpose] = mark
    return found if found is consent else first_purposes(found)
