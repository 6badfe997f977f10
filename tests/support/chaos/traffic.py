"""The calls of a run: five families, people who turn out to be one, some calls twice, shuffled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

Call = dict[str, Any]

SOURCES: Final = ("web", "crm")
# Of the calls, these shares: sent twice, and refused by the collector.
_TWICE, _POISONED = 0.08, 0.02
_CITIES: Final = ("Graz", "Porto", "Turku")


def calls_of(seed: int, *, people: int, events_each: int) -> list[tuple[str, Call]]:
    """Sources and calls in the order in which they are handed to a client."""
    chance = random.Random(f"calls of {seed}")
    found = [
        (chance.choice(SOURCES), call)
        for person in range(people)
        for call in _of_person(chance, person, events_each)
    ]
    found += [
        (chance.choice(SOURCES), _poisoned(number))
        for number in range(int(len(found) * _POISONED) + 1)
    ]
    found += chance.sample(found, int(len(found) * _TWICE))
    chance.shuffle(found)
    return found


def _of_person(chance: random.Random, person: int, count: int) -> Iterator[Call]:
    logs_in = chance.random() < 0.7
    for index in range(count):
        call = {
            "messageId": f"m{person}-{index}",
            "timestamp": f"2025-{1 + index % 12:02}-{1 + person % 28:02}T10:{index % 60:02}:00Z",
        }
        anonymous = f"laptop-{person}" if chance.random() < 0.6 else f"phone-{person}"
        if logs_in and chance.random() < 0.2:
            yield call | _identify(chance, person, anonymous)
        else:
            known = logs_in and chance.random() < 0.4
            who = {"userId": f"user-{person}"} if known else {"anonymousId": anonymous}
            yield call | who | _doing(chance, person, index)


def _identify(chance: random.Random, person: int, anonymous: str) -> Call:
    # Some give another's address: then both are one, or the rules say why not.
    address = person ^ 1 if chance.random() < 0.1 else person
    traits = {"email": f"Person{address}@Mail.example", "city": chance.choice(_CITIES)}
    consent = {"categoryPreferences": {"ads": chance.random() < 0.5}}
    return {
        "type": "identify",
        "userId": f"user-{person}",
        "anonymousId": anonymous,
        "traits": traits,
        "context": {"consent": consent},
    }


def _doing(chance: random.Random, person: int, index: int) -> Call:
    ref = f"{person}-{index}"
    money = {"total": chance.randrange(100, 20_000) / 100, "currency": "EUR", "order_id": ref}
    match chance.randrange(8):
        case 0 | 1:
            return {"type": "page", "properties": {"path": f"/p/{chance.randrange(50)}"}}
        case 2 | 3:
            return {"type": "track", "event": "Order Completed", "properties": money}
        case 4:
            return {"type": "track", "event": "Order Refunded", "properties": money}
        case 5:
            said = {"conversation_id": f"t{person}", "text": "When will it be here?"}
            return {"type": "track", "event": "Message Received", "properties": said}
        case 6:
            return {"type": "track", "event": "Product Shared", "properties": {"network": "x"}}
        case _:
            traits = {"name": f"Company {person % 7}", "role": chance.choice(("admin", "buyer"))}
            return {"type": "group", "groupId": f"company-{person % 7}", "traits": traits}


def _poisoned(number: int) -> Call:
    """A call that no event comes of: the collector keeps it as a dead letter."""
    return {"type": "track", "event": "", "userId": "user-1", "messageId": f"poison-{number}"}
