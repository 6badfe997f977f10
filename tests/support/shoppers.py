"""A made-up history of shoppers: tracking calls in any order, and what must come of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple


class Shopper(NamedTuple):
    """What one person's events add up to; those who never log in have no user id."""

    identifiers: tuple[str, ...]
    events: int
    orders: int
    cents: int


class History(NamedTuple):
    """
    Args:
        calls: shuffled, and some twice.
        distinct: how many different message ids there are.
    """

    calls: Sequence[dict[str, Any]]
    distinct: int
    shoppers: Sequence[Shopper]


def a_history(seed: int, *, shoppers: int, events_each: int) -> History:
    """Every shopper: anonymous visits, mostly a log-in that says their mail address, orders."""
    chance = random.Random(seed)
    calls: list[dict[str, Any]] = []
    people = []
    for number in range(shoppers):
        own = list(_calls_of(chance, number, events_each))
        calls += own
        orders = [c for c in own if c.get("event") == "Order Completed"]
        identifiers = [f"anonymous_id:anon-{number}"]
        if any(c["type"] == "identify" for c in own):
            identifiers += [f"email:shopper{number}@mail.example", f"user_id:user-{number}"]
        cents = sum(round(c["properties"]["total"] * 100) for c in orders)
        people.append(Shopper(tuple(sorted(identifiers)), len(own), len(orders), cents))
    distinct = len(calls)
    calls += chance.sample(calls, distinct // 20)
    chance.shuffle(calls)
    return History(calls, distinct, people)


def _calls_of(chance: random.Random, number: int, count: int) -> list[dict[str, Any]]:
    logs_in = chance.random() < 0.8
    login_at = chance.randrange(count)
    found = []
    for index in range(count):
        call: dict[str, Any] = {
            "messageId": f"m-{number}-{index}",
            "timestamp": f"2025-{1 + index % 12:02}-{1 + number % 28:02}T10:{index % 60:02}:00Z",
        }
        if logs_in and index == login_at:
            call |= {
                "type": "identify",
                "userId": f"user-{number}",
                "anonymousId": f"anon-{number}",
                "traits": {"email": f"Shopper{number}@Mail.example", "name": f"Shopper {number}"},
            }
        else:
            # What comes with either id belongs to the same person in the end.
            known = logs_in and chance.random() < 0.5
            call |= {"userId": f"user-{number}"} if known else {"anonymousId": f"anon-{number}"}
            call |= _doing(chance, f"{number}-{index}")
        found.append(call)
    return found


def _doing(chance: random.Random, ref: str) -> dict[str, Any]:
    if chance.random() < 0.3:
        total = chance.randrange(100, 20_000) / 100
        order = {"order_id": ref, "total": total, "currency": "EUR"}
        return {"type": "track", "event": "Order Completed", "properties": order}
    return {"type": "page", "properties": {"path": f"/p/{chance.randrange(50)}"}}
