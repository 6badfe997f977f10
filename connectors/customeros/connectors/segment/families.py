"""Which of the five families an event belongs to, by its name; and what it does to an order."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from customeros.schemas.event import Family, OrderAction

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")

_ORDER_ACTIONS: Final = {
    "completed": OrderAction.PLACED,
    "placed": OrderAction.PLACED,
    "refunded": OrderAction.REFUNDED,
    "cancelled": OrderAction.CANCELLED,
    "canceled": OrderAction.CANCELLED,
    "updated": OrderAction.UPDATED,
}
# Only what moves money is transactional: a cart or a coupon is what somebody did on a page.
_BY_FIRST_WORD: Final = {
    **dict.fromkeys(("payment", "subscription", "invoice", "refund"), Family.TRANSACTIONAL),
    **dict.fromkeys(
        ("message", "conversation", "ticket", "email", "chat", "call", "sms", "whatsapp"),
        Family.CONVERSATIONAL,
    ),
}
_SOCIAL_ACTIONS: Final = frozenset(
    {
        *("followed", "unfollowed", "liked", "unliked", "shared", "commented", "mentioned"),
        *("reviewed", "rated", "reposted", "upvoted", "downvoted"),
    }
)


def words(name: str) -> tuple[str, ...]:
    """`Order Completed`, `order_completed` and `OrderCompleted` alike as (order, completed)."""
    return tuple(word.lower() for word in _WORD.findall(name))


@lru_cache(4096)
def order_action(name: str) -> OrderAction | None:
    """What the event does to an order; None for all but five names."""
    match words(name):
        case ("order", action):
            return _ORDER_ACTIONS.get(action)
        case _:
            return None


@lru_cache(4096)
def family_of(name: str) -> Family:
    """The family of a track call by the name of its event; an unknown name is behavioral."""
    found = words(name)
    if not found:
        return Family.BEHAVIORAL
    if order_action(name) is not None:
        return Family.TRANSACTIONAL
    if family := _BY_FIRST_WORD.get(found[0]):
        return family
    return Family.SOCIAL if found[-1] in _SOCIAL_ACTIONS else Family.BEHAVIORAL
