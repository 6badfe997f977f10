"""Histories of a few people and organisations, and what they come to, computed naively."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from customeros.processors.accounts.account import SUBSIDIARIES, account_state
from customeros.processors.accounts.fold import fold_part
from customeros.processors.accounts.model import NOBODY, Part
from customeros.processors.accounts.total import Held, total_of
from customeros.processors.enrichment.context import enrich, page, touch
from customeros.processors.profile.model import Fact
from customeros.schemas.account import AccountState
from customeros.schemas.codec import ACCOUNT_STATE
from customeros.schemas.event import Event, OrderAction
from customeros.schemas.identifier import Identifier
from support.histories import NOON, ORDERS, an_event
from support.listed import as_read
from support.offline import Offline

PRIORITIES = {"web": 0, "crm": 5}
ACCOUNTS = ("acme", "globex", "a/b")
NAMES = ("Viewed", "Viewed", "group_left", "Account Removed User", "Account Added User")
ENDS = ("Account Deleted", "Group Closed")
TIMES = st.integers(NOON, NOON + 6)
SAID = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(("admin", "buyer", 7)),
        "plan": st.sampled_from(("free", "paid", None)),
        "parent_id": st.sampled_from((*ACCOUNTS, None, "")),
        "parentId": st.sampled_from(ACCOUNTS),
    },
)


def of_account(event: Event, account: str | None, said: dict[str, Any]) -> Event:
    """*event* as the collector writes it when it names *account*."""
    assert event.personal is not None
    personal = msgspec.structs.replace(event.personal, properties=json.dumps(said))
    return msgspec.structs.replace(event, account_id=account, personal=personal)


@st.composite
def account_events(draw: st.DrawFn, named: st.SearchStrategy[list[Identifier]]) -> Event:
    """Any event of somebody, or of an organisation alone; its id is ""."""
    identifiers: Sequence[Identifier] = draw(named | st.just([]))
    kind = draw(st.sampled_from(("group", "track", "track", "page")))
    ends = draw(st.integers(0, 9)) == 0
    event = an_event(
        "",
        identifiers,
        occurred_at=draw(TIMES),
        source=draw(st.sampled_from(("web", "crm"))),
        kind=kind,
        name=draw(st.sampled_from(ENDS if ends else NAMES)),
        order=draw(st.none() | ORDERS),
    )
    account = draw(st.sampled_from(ACCOUNTS if not identifiers else (*ACCOUNTS, None)))
    return of_account(event, account, draw(SAID))


class Expected(NamedTuple):
    """What must add up, added up without the code under test."""

    events: int
    placed: Counter[str]
    members: set[str]


class Organisations:
    """
    The answer for a set of events.

    Args:
        customers: whose each identifier is; by default as the events alone say.
    """

    def __init__(self, events: Iterable[Event], offline: Offline) -> None:
        self.events = list(events)
        self.customers = offline.customers

    def states(self) -> dict[str, AccountState]:
        """Every account's state by id, version 0: all parts in one bucket."""
        totals = {}
        for account in {event.account_id for event in self.events if event.account_id}:
            held: dict[str, Held] = {}
            for nid, events in self._by_identifier(account).items():
                facts = [Fact(e, PRIORITIES[e.source], touch(enrich(e)), page(e)) for e in events]
                customer = self.customers[nid] if nid else NOBODY
                held[nid] = Held(customer, 1, fold_part(Part(), facts))
            totals[account] = total_of(held)
        alone = {a: account_state("shop", a, total).state for a, total in totals.items()}
        children: dict[str, list[str]] = {}
        for account, state in sorted(alone.items()):
            if state.parent is not None:
                children.setdefault(state.parent, []).append(account)
        return {
            account: as_read(
                ACCOUNT_STATE,
                account_state(
                    "shop",
                    account,
                    totals.get(account, total_of({})),
                    children=children.get(account, [])[:SUBSIDIARIES],
                    child_count=len(children.get(account, [])),
                ),
            )
            for account in {*alone, *children}
        }

    def expected(self, account: str) -> Expected:
        """Counts, money and members of *account*, naively."""
        events = [event for event in self.events if event.account_id == account]
        placed: Counter[str] = Counter()
        for event in events:
            if event.order is not None and event.order.action is OrderAction.PLACED:
                placed[event.order.total.currency] += event.order.total.amount
        last: dict[str, tuple[bool, int, bool]] = {}
        for event in events:
            if event.identifier_keys:
                customer = self.customers[event.identifier_keys[0]]
                left = event.name in {"group_left", "Account Removed User"}
                track = event.kind == "track"
                joined = event.kind == "group" or (track and event.name == "Account Added User")
                said = (joined or (track and left), event.occurred_at, track and left)
                last[customer] = max(said, last.get(customer, said))
        return Expected(
            len(events), placed, {customer for customer, (*_, left) in last.items() if not left}
        )

    def _by_identifier(self, account: str) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for event in self.events:
            if event.account_id == account:
                nid = event.identifier_keys[0] if event.identifier_keys else NOBODY
                found.setdefault(nid, []).append(event)
        return found
