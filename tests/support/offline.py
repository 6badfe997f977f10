"""Who is one customer and what is known of them, computed at once from all events, naively."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from customeros.processors.enrichment.context import enrich, page, touch
from customeros.processors.identity.rules import Rules
from customeros.processors.profile.customer import Member, customer_state
from customeros.processors.profile.fold import fold, fold_consent
from customeros.processors.profile.model import EMPTY, ConsentMark, Contribution, Fact, First
from customeros.schemas.customer import CustomerState
from customeros.schemas.event import Event, OrderAction
from customeros.schemas.identifier import Identifier, IdentifierKey, customer_id
from support.histories import WORKSPACE


class Totals(NamedTuple):
    """What must add up to the cent, added up without the code under test."""

    events: int
    orders: int
    placed: Counter[str]
    refunded: Counter[str]


class Offline:
    """
    The answer for a set of events.

    Args:
        events: each once.
    """

    def __init__(self, events: Iterable[Event], rules: Rules) -> None:
        self.events = list(events)
        self.rules = rules
        self.types: dict[str, Identifier] = {}
        self.first: dict[str, tuple[int, str, str]] = {}
        for event in self.events:
            assert event.personal is not None
            told = (event.occurred_at, event.event_id, event.source)
            for nid, identifier in zip(
                event.identifier_keys, event.personal.identifiers, strict=True
            ):
                self.types[nid] = identifier
                self.first[nid] = min(told, self.first.get(nid, told))
        self.customers = self._customers()

    def states(self) -> dict[str, CustomerState]:
        """Every live customer's state, by id; version 0."""
        priority = {"web": 0, "crm": 5}
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
            facts = [Fact(e, priority.get(e.source, 0), touch(enrich(e)), page(e)) for e in own]
            contribution = Contribution(
                self.types[nid].type,
                self.types[nid].value,
                First(*self.first[nid]),
                max((event.occurred_at for event in own), default=0),
                beside,
                consent,
                fold(EMPTY, facts),
            )
            members.setdefault(customer, {})[nid] = Member(0, 0, contribution)
        return {
            customer: customer_state(WORKSPACE, customer, found, self.rules.identifiers)
            for customer, found in members.items()
        }

    def totals(self) -> dict[str, Totals]:
        """By customer: every event counted where its first identifier belongs."""
        found: dict[str, Totals] = {}
        for customer in set(self.customers.values()):
            mine = [e for e in self.events if self.customers[e.identifier_keys[0]] == customer]
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

    def _customers(self) -> dict[str, str]:
        """Join by canonical order of the evidence, as long as no limit is in the way."""
        best: dict[tuple[str, str], tuple[int, int, str]] = {}
        for event in self.events:
            primary = event.identifier_keys[0]
            for other in event.identifier_keys[1:]:
                strength, _ = self.rules.strength(
                    event.kind, self.types[primary].type, self.types[other].type
                )
                rank = (-strength, event.occurred_at, event.event_id)
                a, b = sorted((primary, other))
                best[a, b] = min(rank, best.get((a, b), rank))
        neighbours = Counter(nid for pair in best for nid in pair)
        quarantined = {
            nid
            for nid, count in neighbours.items()
            if count > self.rules.degree(self.types[nid].type)
        }
        groups = [{nid} for nid in self.types]
        for (a, b), _ in sorted(best.items(), key=lambda item: (item[1], item[0])):
            if {a, b} & quarantined:
                continue
            left = next(group for group in groups if a in group)
            right = next(group for group in groups if b in group)
            if left is not right and self._fits(left | right):
                groups.remove(right)
                left |= right
        found: dict[str, str] = {}
        for group in groups:
            anchor = min(group, key=lambda nid: (*self.first[nid][:2], nid))
            for nid in group:
                found[nid] = customer_id(WORKSPACE, IdentifierKey(anchor))
        return found

    def _fits(self, group: set[str]) -> bool:
        types = Counter(self.types[nid].type for nid in group)
        return all(
            limit is None or count <= limit
            for kind, count in types.items()
            for limit in [self.rules.limit(kind)]
        )
