"""What a profile says, in the words of the public states of customers and organisations."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from customeros.processors.profile.entries import Entry, Listed
from customeros.processors.profile.model import Profile, TraitMark, digest_of
from customeros.processors.profile.uniques import count
from customeros.schemas.customer import CurrencyTotals, Metrics, OrderDay, Trait

S = TypeVar("S", bound=msgspec.Struct)

_UNSET: Final = "null"


def metrics_of(profile: Profile) -> Metrics:
    """Counts and money, as a state tells them."""
    return Metrics(
        events=profile.events,
        by_family=dict(sorted(profile.by_family.items())),
        orders=profile.orders,
        refunds=profile.refunds,
        cancellations=profile.cancellations,
        items=profile.items,
        messages_in=profile.messages_in,
        messages_out=profile.messages_out,
        money={
            currency: CurrencyTotals(placed=placed, refunded=refunded, cancelled=cancelled)
            for currency, (placed, refunded, cancelled) in sorted(profile.money.items())
        },
        first_seen_at=profile.first_at,
        last_seen_at=profile.last_at,
        days=dict(sorted(profile.days.items())),
        order_days={
            day: OrderDay(orders=orders, placed=dict(sorted(placed.items())))
            for day, (orders, placed) in sorted(profile.order_days.items())
        },
        uniques={name: count(found) for name, found in sorted(profile.uniques.items())},
    )


def known_traits(profile: Profile) -> dict[str, Trait]:
    """By name, without those that were unset."""
    return {
        name: _trait(mark) for name, mark in sorted(profile.traits.items()) if mark.value != _UNSET
    }


def sealed(
    state: S,
    things: tuple[Entry, ...] = (),
    timeline: tuple[Entry, ...] = (),
    *,
    timeless: S | None = None,
) -> Listed[S]:
    """
    *state* (of version 0) with these lists, and with the digest over all that it says.

    Args:
        timeless: what of the state is digested, where that is not all.
    """
    digest = digest_of((state if timeless is None else timeless, things, timeline))
    return Listed(msgspec.structs.replace(state, digest=digest), things, timeline)


def _trait(mark: TraitMark) -> Trait:
    return Trait(
        value=mark.value, source=mark.source, event_id=mark.event_id, occurred_at=mark.occurred_at
    )
