"""What a source says happened. The personal part is one sub-record, so it can be erased as one."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from customeros.schemas.identifier import Identifier


class Family(StrEnum):
    """The five kinds of customer data; each has a topic of its own."""

    BEHAVIORAL = "behavioral"
    TRANSACTIONAL = "transactional"
    CONVERSATIONAL = "conversational"
    DEMOGRAPHIC = "demographic"
    SOCIAL = "social"


class OrderAction(StrEnum):
    """What happened to the order; totals of `placed` add to what a customer spent."""

    PLACED = "placed"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    UPDATED = "updated"


class Direction(StrEnum):
    INBOUND = "inbound"  # the customer wrote
    OUTBOUND = "outbound"


class Money(msgspec.Struct, frozen=True):
    """`amount` in minor units of `currency` (ISO 4217): 1995 EUR is 19.95 euros."""

    amount: int
    currency: str


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line; `unit_price` in minor units of the order's currency."""

    product_id: str
    sku: str | None = None
    name: str | None = None
    quantity: int = 1
    unit_price: int | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`total` is what this event moves: the refunded part for `refunded`."""

    order_id: str
    action: OrderAction
    total: Money
    lines: tuple[OrderLine, ...] = ()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation; its author and text are in `Personal`."""

    channel: str
    direction: Direction
    conversation_id: str


class ConsentDecision(msgspec.Struct, frozen=True):
    """The customer grants or refuses one purpose."""

    purpose: str
    granted: bool


class Personal(msgspec.Struct, frozen=True, kw_only=True):
    """
    All of an event that says who it is about.

    Args:
        identifiers: normalised, the primary one first; aligned with `Event.identifier_keys`.
        traits: name to its value as JSON text.
        properties: a JSON object as text.
        context: a JSON object as text: page, address, user agent, campaign.
        author: who wrote the message, as the source names them.
        text: the message.
    """

    identifiers: tuple[Identifier, ...] = ()
    traits: dict[str, str] = {}
    properties: str = "{}"
    context: str = "{}"
    author: str | None = None
    text: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that happened. All times are milliseconds since the epoch, UTC.

    Args:
        event_id: the source's own message id; (source, event_id) is unique.
        kind: what the source calls the record: `track`, `identify`, `alias`, `message`, …;
            rules of evidence go by it.
        name: what happened, for people: `Order Completed`.
        occurred_at: when, by our best knowledge; the other four times are what it came from.
        identifier_keys: keyed hashes, the primary one first; the topic's key is the first.
        account_id: the organisation it concerns, where there is one.
    """

    workspace: str
    source: str
    event_id: str
    family: Family
    kind: str
    name: str
    occurred_at: int
    received_at: int
    timestamp: int | None = None
    original_timestamp: int | None = None
    sent_at: int | None = None
    identifier_keys: tuple[str, ...]
    account_id: str | None = None
    order: Order | None = None
    message: Message | None = None
    consent: tuple[ConsentDecision, ...] = ()
    personal: Personal | None = None


class ResolvedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """
    An event with the customer it belonged to when it was resolved.

    Args:
        assignment_version: of the assignment that said so; 0: the identifier stands alone.
        enrichment: what was derived from the event: `country`, `browser`, `language`, ….
    """

    event: Event
    customer_id: str
    assignment_version: int
    enrichment: dict[str, str] = {}


# What fits a record of every topic with room for framing; the broker's limit is 1 MB.
MAX_EVENT_BYTES: Final = 32 * 1024
