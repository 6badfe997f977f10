"""Who is one customer and what is known of them, computed at once from all events, naively."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from customeros.processors.enrichment.context import enrich, page, touch
from customeros.processors.identity.rules import Rules, rule_of
from customeros.processors.profile.customer import Member, customer_state
from customeros.processors.profile.fold import fold, fold_consent
from customeros.processors.profile.model import (
    EMPTY,
    ConsentMark,
    Contribution,
    Fact,
    First,
    as_sent,
)
from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState
from customeros.schemas.event import Event, OrderAction
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Endpoint, Evidence, EvidenceKind, Link
from support.histories import WORKSPACE
from support.identity import offline
from support.listed import as_read

# By workspace and source, as for `ResolveProcessor`.
PRIORITIES: Final[Mapping[tuple[str, str], int]] = {(WORKSPACE, "crm"): 5}


class Totals(NamedTuple):
    """What must add up to the cent, added up without the code under test."""

    events: int
    orders: int
    placed: Counter[str]
    refunded: Counter[str]


class Offline:
    """
    The answer for a set of events and of what persons said.

    Args:
        events: each once.
        told: joins, cuts and erasures; all events are older than any erasure.
    """

    def __init__(
        self, events: Iterable[Event], rules: Rules, told: Sequence[Evidence] = ()
    ) -> None:
        self.events = list(events)
        self.rules = rules
        self.erased = {one.erase.key for one in told if one.erase}
        self.types: dict[str, Identifier] = {}
        self.first: dict[str, tuple[int, str, str]] = {}
        for event in self.events:
            assert event.personal is not None
            said = (event.occurred_at, event.event_id, event.source)
            for nid, identifier in zip(
                event.identifier_keys, event.personal.identifiers, strict=True
            ):
                self.types[nid] = identifier
                self.first[nid] = min(said, self.first.get(nid, said))
        everybody = offline([*self._evidence(), *told], rules)
        known = self.types.keys() - self.erased
        self.customers = {nid: customer for nid, customer in everybody.items() if nid in known}
        # Of what was erased, events are forgotten.
        self.counted = [e for e in self.events if e.identifier_keys[0] not in self.erased]

    def states(self) -> dict[str, CustomerState]:
        """Every live customer's state, by id; version 0."""
        members: dict[str, dict[str, Member]] = {}
        for nid, customer in self.customers.items():
            own = [event for event in self.events if event.identifier_keys[0] == nid]
            consent: dict[str, ConsentMark] = {}
            for event in self.events:
                if nid in event.identifier_keys:
                    consent = fold_consent(
                        consent,
                        event.consent,
                        occurred_at=event.occurred_at,
                        event_id=event.event_id,
                        source=event.source,
                    )
            beside: dict[str, int] = {}
            for event in own:
                for other in event.identifier_keys[1:]:
                    beside[other] = max(event.occurred_at, beside.get(other, 0))
            facts = [Fact(e, _priority(e), touch(enrich(e)), page(e)) for e in own]
            contribution = Contribution(
                self.types[nid].type,
                self.types[nid].value,
                First(*self.first[nid]),
                max((event.occurred_at for event in own), default=0),
                beside,
                consent,
                fold(EMPTY, facts),
            )
            members.setdefault(customer, {})[nid] = Member(0, 0, as_sent(contribution), limit=0)
        return {
            customer: as_read(
                CUSTOMER_STATE,
                customer_state(WORKSPACE, customer, found, self.rules.identifiers),
            )
            for customer, found in members.items()
        }

    def totals(self) -> dict[str, Totals]:
        """By customer: every event counted where its first identifier belongs."""
        found: dict[str, Totals] = {}
        for customer in set(self.customers.values()):
            mine = [e for e in self.counted if self.customers[e.identifier_keys[0]] == customer]
            placed: Counter[str] = Counter()
            refunded: Counter[str] = Counter()
            orders = 0
            for order in (event.order for event in mine if event.order):
                if order.action is OrderAction.PLACED:
                    placed[order.total.currency] += order.total.amount
                    orders += 1
                elif order.action is OrderAction.REFUNDED:
                    refunded[order.total.currency] += order.total.amount
            found[customer] = Totals(len(mine), orders, placed, refunded)
        return found

    def granted(self) -> dict[str, dict[str, bool]]:
        """By customer and purpose: whether no identifier's newest decision was a refusal."""
        newest: dict[tuple[str, str], tuple[int, bool]] = {}
        for event in self.events:
            for decision in event.consent:
                said = (event.occurred_at, not decision.granted)
                for nid in event.identifier_keys:
                    at = (nid, decision.purpose)
                    newest[at] = max(said, newest.get(at, said))
        found: dict[str, dict[str, bool]] = {c: {} for c in self.customers.values()}
        for (nid, purpose), (_, refused) in newest.items():
            if nid in self.customers:
                of_customer = found[self.customers[nid]]
                of_customer[purpose] = of_customer.get(purpose, True) and not refused
        return found

    def _evidence(self) -> Iterable[Evidence]:
        """What each event says by itself: its first identifier belongs with each of the others."""
        for event in self.events:
            first, *others = (
                Endpoint(
                    key=nid,
                    type=self.types[nid].type,
                    first_seen_at=event.occurred_at,
                    first_event_id=event.event_id,
                )
                for nid in event.identifier_keys
            )
            yield Evidence(workspace=WORKSPACE, kind=EvidenceKind.SEEN, seen=first)
            for other in others:
                rule = rule_of(event.kind, first.type, other.type)
                link = Link(
                    a=first,
                    b=other,
                    occurred_at=event.occurred_at,
                    event_id=event.event_id,
                    source=event.source,
                    rule=rule,
                )
                yield Evidence(workspace=WORKSPACE, kind=EvidenceKind.LINK, link=link)


def _priority(event: Event) -> int:
    return PRIORITIES.get((event.workspace, event.source), 0)
