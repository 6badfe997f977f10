"""A shop's customers and what they share: a seeded history, larger than those that are shrunk."""

from __future__ import annotations

import random
from collections.abc import Iterator

from customeros.schemas.event import Event, Family
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Evidence
from support.histories import NOON, an_event, an_order
from support.promises import History, a_join, a_split, as_the_api_lets, by_priority

_HOUR = 3_600_000
# More than the degree of a device: it is quarantined.
_KIOSK_VISITORS = 40


def a_shop(seed: int, *, people: int, events_each: int) -> History:
    """
    People with accounts, mail addresses and two browsers each.

    Two of them share a tablet, dozens a kiosk, some give another's address; a shopkeeper joins
    and splits by hand, and takes some of it back.
    """
    chance = random.Random(seed)
    events = [
        _event(chance, person, f"e{person}-{number}")
        for person in range(people)
        for number in range(events_each)
    ]
    told = [*_splits(chance, people), *_joins(chance, people)]
    return as_the_api_lets(History(events, told, seed, 4, 0.0))


def _own(person: int) -> list[Identifier]:
    return [
        Identifier("user_id", f"user-{person}"),
        Identifier("email", f"{person}@x.example"),
        Identifier("anonymous_id", f"laptop-{person}"),
        Identifier("anonymous_id", f"phone-{person}"),
    ]


def _event(chance: random.Random, person: int, event_id: str) -> Event:
    named = chance.sample(_own(person), chance.randint(1, 3))
    if chance.random() < 0.1:
        named.append(Identifier("device_id", f"tablet-{person // 2}"))
    if person < _KIOSK_VISITORS and chance.random() < 0.3:
        named.append(Identifier("device_id", "kiosk"))
    if chance.random() < 0.02:
        named.append(Identifier("email", f"{person ^ 1}@x.example"))
    return an_event(
        event_id,
        by_priority(list(dict.fromkeys(named))),
        occurred_at=NOON + chance.randrange(100 * _HOUR),
        source=chance.choice(("web", "crm")),
        family=chance.choice(list(Family)),
        kind=chance.choice(("track", "track", "page", "identify", "alias")),
        order=an_order(chance.randrange(9_000), order_id=event_id)
        if chance.random() < 0.2
        else None,
        traits={"city": f'"{chance.choice("abc")}"'},
    )


def _splits(chance: random.Random, people: int) -> Iterator[Evidence]:
    for number, person in enumerate(chance.sample(range(people), people // 10)):
        named = chance.sample(_own(person), 3)
        yield a_split(named, 1, change=f"c{number}")
        if number % 3 == 0:
            yield a_split(named, 1, change=f"c{number}", version=2, on=False)


def _joins(chance: random.Random, people: int) -> Iterator[Evidence]:
    for number in range(people // 10):
        one, other = (chance.choice(_own(p)[1:]) for p in chance.sample(range(people), 2))
        yield a_join(one, other, change=f"j{number}")
        if number % 3 == 0:
            yield a_join(one, other, change=f"j{number}", version=2, on=False)
