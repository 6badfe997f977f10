"""Fold events into what their identifier adds up to; the order of arrival does not matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Final

from customeros.processors.profile.entries import Entry, thing_entry, timeline_entry
from customeros.processors.profile.kept import (
    added_orders,
    first_accounts,
    first_purposes,
    newest,
    newest_days,
    newest_members,
    newest_things,
    newest_traits,
    within_long,
)
from customeros.processors.profile.model import (
    DAY_MS,
    NAME_CHARACTERS,
    PURPOSE_CHARACTERS,
    TIMELINE_ENTRIES,
    TRAIT_CHARACTERS,
    ConsentMark,
    Fact,
    Profile,
    Standing,
    TouchMark,
    TraitMark,
)
from customeros.processors.profile.standing import standing_of, with_standing
from customeros.processors.profile.uniques import noted
from customeros.schemas.customer import OpenThing, TimelineEntry
from customeros.schemas.event import ConsentDecision, Direction, Event, Family, Order, OrderAction

_CLOSING: Final = ("closed", "resolved", "solved")
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_NOTHING: Final = (0, 0, 0)
_NO_ORDERS: Final[tuple[int, dict[str, int]]] = (0, {})
_COLUMN: Final = {OrderAction.PLACED: 0, OrderAction.REFUNDED: 1, OrderAction.CANCELLED: 2}
_FAMILY: Final = {family: family.value for family in Family}


def fold(profile: Profile, facts: Iterable[Fact]) -> Profile:
    """*profile* with *facts* folded in, each of which must not have been folded before."""
    working = _Working(profile)
    for fact in facts:
        working.add(fact)
    return working.frozen()


class _Working:
    """A profile while events are folded into it; its maps are its own."""

    def __init__(self, profile: Profile) -> None:
        self.was = profile
        self.events = profile.events
        self.by_family = profile.by_family.copy()
        self.orders = [profile.orders, profile.refunds, profile.cancellations]
        self.items = profile.items
        self.messages_in = profile.messages_in
        self.messages_out = profile.messages_out
        self.money = profile.money
        self.first_at = profile.first_at
        self.last_at = profile.last_at
        self.days = profile.days.copy()
        self.traits = profile.traits
        self.things: list[Entry] = []
        self.timeline: list[Entry] = []
        self.sets: list[tuple[str, str, int]] = []
        self.order_days = profile.order_days
        self.uniques: dict[str, list[str]] = {}
        self.accounts = profile.accounts
        self.first_touch = profile.first_touch
        self.last_touch = profile.last_touch

    def add(self, fact: Fact) -> None:
        event = fact.event
        at, event_id, source = event.occurred_at, event.event_id, event.source
        event_id = event_id[:NAME_CHARACTERS]
        family = _FAMILY[event.family]
        ref = ""
        self.events += 1
        self.by_family[family] = self.by_family.get(family, 0) + 1
        day = iso_date(at // DAY_MS)
        if day in self.days:
            self.days[day] += 1
        else:
            self.days[day] = 1
            self._note("days", day)
        if self.first_at is None or at < self.first_at:
            self.first_at = at
        if self.last_at is None or at > self.last_at:
            self.last_at = at
        if event.personal is not None and event.personal.traits and event.kind != "group":
            self._add_traits(event, event.personal.traits, fact.priority)
        if event.message is not None:
            ref = event.message.conversation_id[:NAME_CHARACTERS]
            self._add_message(event, event_id, ref)
        if event.order is not None:
            ref = event.order.order_id[:NAME_CHARACTERS]
            self._add_order(event.order, at, day)
            total = event.order.total
            self.things.append(
                thing_entry(
                    OpenThing(
                        kind="order",
                        ref=ref,
                        state=event.order.action.value,
                        occurred_at=at,
                        event_id=event_id,
                        amount=total.amount if total.currency else None,
                        currency=total.currency or None,
                    )
                )
            )
        if fact.page:
            self._note("pages", fact.page)
        if event.account_id:
            self._stand(event.account_id, standing_of(event))
        if fact.touch:
            touch = TouchMark(at, event_id, source, tuple(sorted(fact.touch.items())))
            if self.first_touch is None or touch < self.first_touch:
                self.first_touch = touch
            if self.last_touch is None or touch > self.last_touch:
                self.last_touch = touch
        self.timeline.append(
            timeline_entry(
                TimelineEntry(
                    occurred_at=at,
                    event_id=event_id,
                    source=source,
                    family=family,
                    name=event.name[:NAME_CHARACTERS],
                    ref=ref or None,
                )
            )
        )

    def frozen(self) -> Profile:
        was = self.was
        orders, refunds, cancellations = self.orders
        return Profile(
            events=self.events,
            by_family=self.by_family,
            orders=orders,
            refunds=refunds,
            cancellations=cancellations,
            items=self.items,
            messages_in=self.messages_in,
            messages_out=self.messages_out,
            money=self.money,
            first_at=self.first_at,
            last_at=self.last_at,
            days=newest_days(self.days),
            traits=newest_traits(self.traits),
            things=newest_things(was.things, self.things) if self.things else was.things,
            timeline=newest(was.timeline, self.timeline, TIMELINE_ENTRIES),
            sets=_with_members(was.sets, self.sets) if self.sets else was.sets,
            first_touch=self.first_touch,
            last_touch=self.last_touch,
            order_days=newest_days(self.order_days),
            uniques=_with_noted(was.uniques, self.uniques) if self.uniques else was.uniques,
            accounts=self.accounts,
        )

    def _note(self, name: str, member: str) -> None:
        self.uniques.setdefault(name, []).append(member)

    def _stand(self, account: str, standing: Standing) -> None:
        known = self.accounts.get(account)
        if known is not None:
            standing = with_standing(known, standing)
        self.accounts = first_accounts({**self.accounts, account: standing})

    def _add_traits(self, event: Event, traits: Mapping[str, str], priority: int) -> None:
        if self.traits is self.was.traits:
            self.traits = self.traits.copy()
        event_id = event.event_id[:NAME_CHARACTERS]
        for full_name, full_value in traits.items():
            name = full_name[:NAME_CHARACTERS]
            value = full_value
            if len(value) > TRAIT_CHARACTERS:
                value = f'{{"$omitted_characters":{len(value)}}}'
            mark = TraitMark(event.occurred_at, priority, event_id, event.source, value)
            known = self.traits.get(name)
            if known is None or mark > known:
                self.traits[name] = mark

    def _add_message(self, event: Event, event_id: str, ref: str) -> None:
        message = event.message
        assert message is not None  # noqa: S101 - the caller looked
        inbound = message.direction is Direction.INBOUND
        if inbound:
            self.messages_in += 1
        else:
            self.messages_out += 1
        if event.name.lower().endswith(_CLOSING):
            state = "closed"
        else:
            state = "awaiting_reply" if inbound else "answered"
        self.things.append(
            thing_entry(
                OpenThing(
                    kind="conversation",
                    ref=ref,
                    state=state,
                    occurred_at=event.occurred_at,
                    event_id=event_id,
                )
            )
        )
        self._note("conversations", message.conversation_id)
        self.sets.append(("channels", message.channel[:NAME_CHARACTERS], event.occurred_at))

    def _add_order(self, order: Order, at: int, day: str) -> None:
        column = _COLUMN.get(order.action)
        if column is None:
            return
        self.orders[column] += 1
        if self.money is self.was.money:
            self.money = self.money.copy()
        currency = order.total.currency
        sums = list(self.money.get(currency, _NOTHING))
        sums[column] = within_long(sums[column] + order.total.amount)
        self.money[currency] = (sums[0], sums[1], sums[2])
        if order.action is OrderAction.PLACED:
            if self.order_days is self.was.order_days:
                self.order_days = self.order_days.copy()
            of_day = (1, {currency: order.total.amount})
            self.order_days[day] = added_orders(self.order_days.get(day, _NO_ORDERS), of_day)
            self._note("orders", order.order_id)
            for line in order.lines:
                self._note("products", line.product_id)
                self.items = within_long(self.items + line.quantity)
                self.sets.append(("products", line.product_id[:NAME_CHARACTERS], at))


def fold_consent(
    consent: dict[str, ConsentMark],
    decisions: Iterable[ConsentDecision],
    *,
    occurred_at: int,
    event_id: str,
    source: str,
) -> dict[str, ConsentMark]:
    """*consent* with the decisions of one event; the very same map if they change nothing."""
    event_id = event_id[:NAME_CHARACTERS]
    found = consent
    for decision in decisions:
        purpose = decision.purpose[:PURPOSE_CHARACTERS]
        mark = ConsentMark(occurred_at, not decision.granted, event_id, source)
        known = found.get(purpose)
        if known is None or mark > known:
            if found is consent:
                found = consent.copy()
            found[purpose] = mark
    return found if found is consent else first_purposes(found)


@lru_cache(maxsize=1024)
def iso_date(day: int) -> str:
    """The date of the *day*-th day since 1970, which must be of the years 1 to 9999."""
    return date.fromordinal(_EPOCH_DAY + day).isoformat()


def _with_members(
    sets: dict[str, dict[str, int]], more: Iterable[tuple[str, str, int]]
) -> dict[str, dict[str, int]]:
    found = {name: members.copy() for name, members in sets.items()}
    for name, member, at in more:
        members = found.setdefault(name, {})
        members[member] = max(at, members.get(member, at))
    return {name: newest_members(members) for name, members in found.items()}


def _with_noted(uniques: dict[str, bytes], more: dict[str, list[str]]) -> dict[str, bytes]:
    return {**uniques, **{name: noted(uniques.get(name, b""), more[name]) for name in more}}
