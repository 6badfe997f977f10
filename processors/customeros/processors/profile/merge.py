"""Merge what identifiers contribute; any order, any grouping, the same result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final, TypeVar

from customeros.processors.profile.kept import (
    added_orders,
    first_accounts,
    newest,
    newest_days,
    newest_members,
    newest_things,
    newest_traits,
    within_long,
)
from customeros.processors.profile.model import (
    EMPTY,
    PURPOSES,
    TIMELINE_ENTRIES,
    ConsentMark,
    Profile,
    Standing,
    TraitMark,
)
from customeros.processors.profile.standing import with_standing
from customeros.processors.profile.uniques import union

T = TypeVar("T")

_COUNTS: Final = attrgetter(
    "events", "orders", "refunds", "cancellations", "items", "messages_in", "messages_out"
)


def merge(profiles: Iterable[Profile]) -> Profile:
    """The profile of all the events of *profiles*, none of which may be in two of them."""
    parts = [profile for profile in profiles if profile.events]
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    events, orders, refunds, cancellations, items, messages_in, messages_out = map(
        sum, zip(*map(_COUNTS, parts), strict=True)
    )
    return Profile(
        events=events,
        by_family=_added([p.by_family for p in parts]),
        orders=orders,
        refunds=refunds,
        cancellations=cancellations,
        items=within_long(items),
        messages_in=messages_in,
        messages_out=messages_out,
        money=_money(parts),
        first_at=_best(min, [p.first_at for p in parts]),
        last_at=_best(max, [p.last_at for p in parts]),
        days=newest_days(_added([p.days for p in parts])),
        traits=_traits(parts),
        things=newest_things((), chain.from_iterable([p.things for p in parts])),
        timeline=newest((), chain.from_iterable([p.timeline for p in parts]), TIMELINE_ENTRIES),
        sets=_sets(parts),
        first_touch=_best(min, [p.first_touch for p in parts]),
        last_touch=_best(max, [p.last_touch for p in parts]),
        order_days=_order_days(parts),
        uniques=_uniques(parts),
        accounts=_accounts(parts),
    )


def merge_consent(members: Sequence[dict[str, ConsentMark]]) -> dict[str, ConsentMark]:
    """
    The most restrictive of the members' decisions: one refusal refuses.

    A member whose purposes are full does not remember those after its last by name, so nobody
    else's grant of such a purpose counts: what is unknown is refused.
    """
    if len(members) == 1:
        return members[0]
    found: dict[str, ConsentMark] = {}
    for consent in members:
        for purpose, mark in consent.items():
            known = found.get(purpose)
            if known is None or (mark.refused, mark) > (known.refused, known):
                found[purpose] = mark
    last = min((max(c) for c in members if len(c) >= PURPOSES), default=None)
    if last is None:
        return found
    return {p: mark for p, mark in found.items() if mark.refused or p <= last}


def _added(counts: Sequence[dict[T, int]]) -> dict[T, int]:
    total = counts[0].copy()
    for each in counts[1:]:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total


def _money(parts: Iterable[Profile]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for part in parts:
        for currency, (placed, refunded, cancelled) in part.money.items():
            sums = found.get(currency, (0, 0, 0))
            found[currency] = (sums[0] + placed, sums[1] + refunded, sums[2] + cancelled)
    return {c: (within_long(p), within_long(r), within_long(x)) for c, (p, r, x) in found.items()}


def _order_days(parts: Iterable[Profile]) -> dict[str, tuple[int, dict[str, int]]]:
    found: dict[str, tuple[int, dict[str, int]]] = {}
    for part in parts:
        for day, orders in part.order_days.items():
            known = found.get(day)
            found[day] = orders if known is None else added_orders(known, orders)
    return newest_days(found)


def _uniques(parts: Sequence[Profile]) -> dict[str, bytes]:
    found: dict[str, list[bytes]] = {}
    for part in parts:
        for name, known in part.uniques.items():
            found.setdefault(name, []).append(known)
    return {name: union(sets) for name, sets in found.items()}


def _traits(parts: Iterable[Profile]) -> dict[str, TraitMark]:
    found: dict[str, TraitMark] = {}
    for part in parts:
        for name, mark in part.traits.items():
            known = found.get(name)
            if known is None or mark > known:
                found[name] = mark
    return newest_traits(found)


def _sets(parts: Iterable[Profile]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for part in parts:
        for name, members in part.sets.items():
            if (together := found.get(name)) is None:
                found[name] = members.copy()
                continue
            for member, at in members.items():
                known = together.get(member)
                if known is None or at > known:
                    together[member] = at
    return {name: newest_members(members) for name, members in found.items()}


def _accounts(parts: Iterable[Profile]) -> dict[str, Standing]:
    found: dict[str, Standing] = {}
    for part in parts:
        for account, standing in part.accounts.items():
            known = found.get(account)
            found[account] = standing if known is None else with_standing(known, standing)
    return first_accounts(found)


def _best(choose: Callable[[Iterable[T]], T], values: Iterable[T | None]) -> T | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None
