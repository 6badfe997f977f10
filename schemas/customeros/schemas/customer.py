"""The state of one customer: the value of the compacted topic `customer-state`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec


class Status(StrEnum):
    ACTIVE = "active"
    MERGED = "merged"  # `merged_into` says where its identifiers went; reversible
    ERASED = "erased"


class KnownIdentifier(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    An identifier of the customer.

    Args:
        key: keyed hash; `value` is None only while its own record is on the way.
        since: version of the assignment that put it here; 0: it never moved.
    """

    key: str
    type: str
    value: str | None
    source: str
    first_seen_at: int
    last_seen_at: int
    since: int


class Trait(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`value` is JSON text; where it comes from is `source`, `event_id`, `occurred_at`."""

    value: str
    source: str
    event_id: str
    occurred_at: int


class Consent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    granted: bool
    source: str
    event_id: str
    occurred_at: int


class CurrencyTotals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Minor units of one currency, over all events."""

    placed: int = 0
    refunded: int = 0
    cancelled: int = 0


class OrderDay(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The orders placed on one day; of more than three currencies the first three by code."""

    orders: int = 0
    placed: dict[str, int] = {}


class Metrics(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    Counts over all events; money by currency in minor units.

    Args:
        days: ISO date (UTC) to events of that day, the newest 90 days with any.
        order_days: the same of orders placed.
        uniques: how many different `pages`, `products`, `orders`, `conversations` and `days`
            with any event; exact to 64, beyond with a standard error of 3.3 %.
    """

    events: int = 0
    by_family: dict[str, int] = {}
    orders: int = 0
    refunds: int = 0
    cancellations: int = 0
    items: int = 0
    messages_in: int = 0
    messages_out: int = 0
    money: dict[str, CurrencyTotals] = {}
    first_seen_at: int | None = None
    last_seen_at: int | None = None
    days: dict[str, int] = {}
    order_days: dict[str, OrderDay] = {}
    uniques: dict[str, int] = {}


class Window(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happened in the newest days; `placed` in minor units by currency."""

    events: int = 0
    orders: int = 0
    placed: dict[str, int] = {}


def window(metrics: Metrics, days: int, *, today: date) -> Window:
    """What *metrics* tell of *days* days (UTC), of which *today* is the last; at most 90."""
    (found,) = windows(metrics, (days,), today=today).values()
    return found


def windows(metrics: Metrics, lengths: Iterable[int], *, today: date) -> dict[int, Window]:
    """Windows of several lengths that end with the same day, by length, the longest first."""
    found = {}
    events: Mapping[str, int] = metrics.days
    orders: Mapping[str, OrderDay] = metrics.order_days
    for days in sorted(lengths, reverse=True):
        since = _first_day(today, days)
        # What a shorter one has is in the longer one.
        events = {day: number for day, number in events.items() if day >= since}
        orders = {day: of_day for day, of_day in orders.items() if day >= since}
        found[days] = _added_up(events, orders) if events or orders else _NOTHING
    return found


def _added_up(events: Mapping[str, int], orders: Mapping[str, OrderDay]) -> Window:
    placed: dict[str, int] = {}
    for of_day in orders.values():
        for currency, amount in of_day.placed.items():
            placed[currency] = placed.get(currency, 0) + amount
    return Window(
        events=sum(events.values()),
        orders=sum([of_day.orders for of_day in orders.values()]),
        placed=dict(sorted(placed.items())),
    )


_NOTHING: Final = Window()


@lru_cache(maxsize=64)
def _first_day(today: date, days: int) -> str:
    return (today - timedelta(days=days - 1)).isoformat()


class OpenThing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something with an id of its own that events speak about: an order, a conversation."""

    kind: str
    ref: str
    state: str
    occurred_at: int
    event_id: str
    amount: int | None = None
    currency: str | None = None


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    occurred_at: int
    event_id: str
    source: str
    family: str
    name: str
    ref: str | None = None


class Membership(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    How the customer belongs to an organisation; of it, `account-state` tells more.

    Args:
        role: as it was last given; None: never.
        since: the first event that made the customer a member, ms; last_seen_at: the newest of
            its events that name the organisation.
        source, event_id: of what made it a member last.
    """

    role: str | None
    since: int
    last_seen_at: int
    source: str
    event_id: str


class Touch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What brought the customer here: `values` are the campaign's and referrer's, by name."""

    occurred_at: int
    event_id: str
    source: str
    values: dict[str, str]


class CustomerState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    Args:
        version: hybrid clock, ms; grows per customer: a consumer ignores an older one.
        identifiers: sorted by (type, value).
        things: newest first, at most 50. timeline: newest first, at most 50.
        sets: `products`, `channels`: member to when it was last seen.
        accounts: the organisations that the customer belongs to, by id; at most 100.
        digest: hash over all but `version` and the identifiers' `since`; equal content,
            equal digest.
    """

    workspace: str
    customer_id: str
    version: int
    status: Status = Status.ACTIVE
    merged_into: str | None = None
    identifiers: tuple[KnownIdentifier, ...] = ()
    traits: dict[str, Trait] = {}
    consent: dict[str, Consent] = {}
    metrics: Metrics = Metrics()
    things: tuple[OpenThing, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    sets: dict[str, dict[str, int]] = {}
    accounts: dict[str, Membership] = {}
    first_touch: Touch | None = None
    last_touch: Touch | None = None
    digest: str = ""
