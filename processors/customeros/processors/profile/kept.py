"""What is kept of many: the greatest by a rank, so that the order of arrival does not show."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import TypeVar

from customeros.processors.profile.entries import Entry, id_of_thing
from customeros.processors.profile.model import (
    ACCOUNTS,
    DAY_CURRENCIES,
    DAYS,
    MAX_LONG,
    PURPOSES,
    SET_MEMBERS,
    THINGS,
    TRAITS,
    ConsentMark,
    Standing,
    TraitMark,
)

V = TypeVar("V")


def newest(known: tuple[Entry, ...], more: Iterable[Entry], count: int) -> tuple[Entry, ...]:
    """The greatest *count* of both, greatest first; *known* is so already."""
    added = sorted(more, reverse=True)
    if not known or not added or known[0] < added[-1]:
        return (*added, *known)[:count]
    return tuple(sorted({*added, *known}, reverse=True)[:count])


def newest_things(known: Iterable[Entry], more: Iterable[Entry]) -> tuple[Entry, ...]:
    """The newest word on each thing, newest first."""
    by_id = {id_of_thing(thing): thing for thing in known}
    for thing in more:
        its_id = id_of_thing(thing)
        other = by_id.get(its_id)
        if other is None or thing > other:
            by_id[its_id] = thing
    return tuple(sorted(by_id.values(), reverse=True)[:THINGS])


def newest_days(days: dict[str, V]) -> dict[str, V]:
    """The newest days; a dropped one has so many after it that it never comes back."""
    if len(days) <= DAYS:
        return days
    return {day: days[day] for day in sorted(days, reverse=True)[:DAYS]}


def added_orders(
    one: tuple[int, dict[str, int]], other: tuple[int, dict[str, int]]
) -> tuple[int, dict[str, int]]:
    """The orders of a day and what they came to; of many currencies the first by code."""
    sums = one[1].copy()
    for currency, amount in other[1].items():
        sums[currency] = within_long(sums.get(currency, 0) + amount)
    if len(sums) > DAY_CURRENCIES:
        sums = {currency: sums[currency] for currency in sorted(sums)[:DAY_CURRENCIES]}
    return one[0] + other[0], sums


def newest_traits(traits: dict[str, TraitMark]) -> dict[str, TraitMark]:
    """The newest traits, ties by name."""
    if len(traits) <= TRAITS:
        return traits
    ranked = sorted(traits.items(), key=itemgetter(1, 0), reverse=True)
    return dict(ranked[:TRAITS])


def newest_members(members: dict[str, int], count: int = SET_MEMBERS) -> dict[str, int]:
    """The members last seen, ties by name."""
    if len(members) <= count:
        return members
    return dict(sorted(members.items(), key=itemgetter(1, 0), reverse=True)[:count])


def first_purposes(consent: dict[str, ConsentMark]) -> dict[str, ConsentMark]:
    """The first by name, which never depends on what was decided; see `merge_consent`."""
    if len(consent) <= PURPOSES:
        return consent
    return {purpose: consent[purpose] for purpose in sorted(consent)[:PURPOSES]}


def first_accounts(accounts: dict[str, Standing], count: int = ACCOUNTS) -> dict[str, Standing]:
    """The first by id, which never depends on what was told of them."""
    if len(accounts) <= count:
        return accounts
    return {account: accounts[account] for account in sorted(accounts)[:count]}


def within_long(number: int) -> int:
    """*number*, or the nearest that fits 64 bits."""
    return max(-MAX_LONG, min(number, MAX_LONG))
