"""Tracking calls as a shop's customers cause them: a seeded stream, the same for every run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

_T = TypeVar("_T")
Call = dict[str, Any]

# Of a hundred calls: a new visitor's first page (one new identifier); a visitor's first log-in
# (a new user id and mail address); a visitor who turns out to be a known user, which merges two
# customers. All others are of known people.
_VISITS, _LOG_INS, _MERGES = 0.06, 0.02, 0.02
_MEMBERS_SHARE: Final = 0.6
# With it the most active of 10,000 people causes about 1 % of the calls, as outside of proofs.
_ZIPF_OFFSET: Final = 20
_STEP: Final = timedelta(seconds=10)
_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_BROWSERS: Final = tuple(
    f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{n}.0.0.0 Safari/537.36"
    for n in range(130, 138)
)
_CHAT: Final = "Hello, my order has not arrived yet, can you tell me where it is now? Thank you"


class Member(NamedTuple):
    """Somebody with a user id, and the devices that are known to be theirs."""

    user_id: str
    devices: list[str]


def skewed(chance: random.Random, among: Sequence[_T]) -> _T:
    """One of them, the first ones more often: Zipf-Mandelbrot with exponent 1."""
    ratio = (len(among) + _ZIPF_OFFSET) / _ZIPF_OFFSET
    return among[int(_ZIPF_OFFSET * (ratio ** chance.random() - 1))]


def traffic(seed: int, *, name: str = "b", now: bool = False) -> Iterator[Call]:
    """
    Calls without end, about 600 B each, of all five families.

    Args:
        name: starts every id, so that two streams share nobody.
        now: they happen when they are taken; else one after another from a fixed day on.
    """
    chance = random.Random(seed)
    people = _People(chance, name)
    at = _BEGIN
    number = 0
    while True:
        at = datetime.now(UTC) if now else at + _STEP
        yield {
            **people.next_call(number),
            "messageId": f"{name}-{number}",
            "timestamp": at.isoformat(timespec="milliseconds"),
            "context": {
                "ip": f"203.0.113.{number % 250}",
                "library": {"name": "benchmarks", "version": "1.0.0"},
                "locale": "en-GB",
                "os": {"name": "Linux", "version": "6.1"},
                "screen": {"width": 1920, "height": 1080, "density": 1},
                "timezone": "Europe/London",
                "userAgent": chance.choice(_BROWSERS),
                "page": {
                    "url": f"https://shop.example/p/{number % 997}",
                    "path": f"/p/{number % 997}",
                    "referrer": "https://search.example/",
                },
            },
        }
        number += 1


def mix_of(calls: Sequence[Call]) -> dict[str, float]:
    """
    What such calls are like.

    Identifiers and log-ins are new when they are first named in *calls*; a log-in of a user who
    has logged in before comes from a further device, which merges two customers.
    """
    named = {name for call in calls for name in identifiers_of(call)}
    users = [call["userId"] for call in calls if "email" in call.get("traits", {})]
    return {
        "bytes": sum(len(msgspec.json.encode(call)) for call in calls) / len(calls),
        "new identifiers %": 100 * len(named) / len(calls),
        "merges %": 100 * (len(users) - len({*users})) / len(calls),
    }


def identifiers_of(call: Call) -> list[str]:
    """Those by which *call* says who did it."""
    found = (call.get("userId"), call.get("anonymousId"), call.get("traits", {}).get("email"))
    return [name for name in found if name]


class _People:
    """Who is known by now."""

    def __init__(self, chance: random.Random, name: str) -> None:
        self._chance = chance
        self._name = name
        self._visitors: list[str] = []
        self._members: list[Member] = []

    def next_call(self, number: int) -> Call:
        dice = self._chance.random()
        if dice < _VISITS or not self._visitors:
            self._visitors.append(f"{self._name}-device-{number:08}")
            return _page(self._visitors[-1:], number)
        if dice < _VISITS + _LOG_INS or not self._members:
            self._members.append(Member(f"{self._name}-user-{number:08}", [self._leave()]))
            return self._log_in(self._members[-1])
        if dice < _VISITS + _LOG_INS + _MERGES:
            member = self._chance.choice(self._members)
            member.devices.append(self._leave())
            return self._log_in(member)
        if self._chance.random() < _MEMBERS_SHARE:
            member = skewed(self._chance, self._members)
            device = self._chance.choice(member.devices)
            known = {"anonymousId": device} if self._chance.random() < 0.5 else {}
            return {"userId": member.user_id, **known, **self._doing(number)}
        return {"anonymousId": skewed(self._chance, self._visitors), **self._doing(number)}

    def _leave(self) -> str:
        """A visitor, no longer one of them."""
        place = self._chance.randrange(len(self._visitors))
        found = self._visitors[place]
        self._visitors[place] = self._visitors[-1]
        self._visitors.pop()
        return found

    def _log_in(self, member: Member) -> Call:
        return {
            "type": "identify",
            "userId": member.user_id,
            "anonymousId": member.devices[-1],
            "traits": {
                "email": f"{member.user_id}@mail.example",
                "name": f"Customer {member.user_id}",
                "plan": self._chance.choice(("free", "reader", "patron")),
            },
        }

    def _doing(self, number: int) -> Call:
        dice = self._chance.random()
        if dice < 0.60:
            return _page((), number)
        if dice < 0.75:
            cents = self._chance.randrange(500, 20_000)
            return _track("Order Completed", _order(number, cents))
        if dice < 0.85:
            talk = {"channel": "chat", "conversation_id": f"talk-{number // 8}", "text": _CHAT}
            return _track("Message Received", talk)
        if dice < 0.92:
            city = self._chance.choice(("Leeds", "York", "Bath"))
            return {"type": "identify", "traits": {"city": city, "newsletter": number % 2 == 0}}
        return _track("Product Shared", {"product_id": f"book-{number % 997}", "share_via": "mail"})


def _page(anonymous: Sequence[str], number: int) -> Call:
    properties = {"title": f"Book {number % 997}", "section": "books", "price": 12.5}
    known = {"anonymousId": anonymous[0]} if anonymous else {}
    return {**known, "type": "page", "name": "Book", "properties": properties}


def _order(number: int, cents: int) -> Call:
    line = {"product_id": f"book-{number % 997}", "quantity": 1, "price": cents / 100}
    return {
        "order_id": f"order-{number}",
        "total": cents / 100,
        "currency": "EUR",
        "products": [line],
    }


def _track(event: str, properties: Call) -> Call:
    return {"type": "track", "event": event, "properties": properties}
