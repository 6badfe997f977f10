"""The typed parts of an event (order, message, consent), read from free-form properties."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from customeros.connectors.segment.families import words
from customeros.connectors.segment.money import currency_code, minor_units
from customeros.schemas.event import (
    ConsentDecision,
    Direction,
    Message,
    Money,
    Order,
    OrderAction,
    OrderLine,
)

MAX_REF_CHARACTERS: Final = 256
_MAX_QUANTITY: Final = 1_000_000_000

_PAID_BACK: Final = frozenset({OrderAction.REFUNDED, OrderAction.CANCELLED})
_DIRECTIONS: Final = {
    **dict.fromkeys(("inbound", "incoming", "in", "received"), Direction.INBOUND),
    **dict.fromkeys(("outbound", "outgoing", "out", "sent"), Direction.OUTBOUND),
}


class Conversation(NamedTuple):
    """A message, and the two parts of it that are personal."""

    message: Message
    author: str | None
    text: str | None


def read_order(
    action: OrderAction,
    properties: Mapping[str, Any],
    *,
    default_currency: str | None,
    event_id: str,
) -> Order | None:
    """
    The order; None where currency or amount is missing or no money.

    A currency that is given and wrong is not replaced by the default. An order without an id
    gets the event's, so that its money counts.
    """
    said = first(properties, "currency")
    currency = default_currency if said is None else currency_code(said)
    if currency is None:
        return None
    total = minor_units(first(properties, "total", "revenue", "value"), currency)
    if total is None:
        return None
    return Order(
        order_id=reference(first(properties, "order_id", "orderId")) or event_id,
        action=action,
        # Some shops write what they pay back below zero.
        total=Money(abs(total) if action in _PAID_BACK else total, currency),
        lines=_lines(properties.get("products"), currency),
    )


def read_conversation(
    name: str, properties: Mapping[str, Any], *, otherwise: str
) -> Conversation | None:
    """
    The message of a conversational event; None where there is neither conversation nor text.

    Args:
        otherwise: stands for the conversation where none is named: one per identifier.
    """
    ref = reference(first(properties, "conversation_id", "ticket_id", "thread_id"))
    text = _words_of(first(properties, "text", "body", "message"))
    if ref is None and text is None:
        return None
    direction = properties.get("direction")
    channel = reference(properties.get("channel")) or words(name)[0]
    return Conversation(
        Message(
            channel=channel,
            direction=_DIRECTIONS.get(direction.lower(), Direction.INBOUND)
            if isinstance(direction, str)
            else Direction.INBOUND,
            conversation_id=ref or otherwise,
        ),
        author=_words_of(properties.get("author")),
        text=text,
    )


def read_consent(context: Mapping[str, Any]) -> tuple[ConsentDecision, ...]:
    """Decisions by purpose (`consent.categoryPreferences`); one that is unreadable is a no."""
    consent = context.get("consent")
    said = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if not isinstance(said, dict):
        return ()
    return tuple(
        ConsentDecision(purpose, said[purpose] is True)
        for purpose in sorted(said)
        if purpose and len(purpose) <= MAX_REF_CHARACTERS
    )


def first(values: Mapping[str, Any], *names: str) -> Any:
    """The value of the first name that has one; null and empty are none."""
    for name in names:
        value = values.get(name)
        if value is not None and value != "":
            return value
    return None


def reference(value: object) -> str | None:
    """An id of somebody else's: a text or a number, not empty and not over-long."""
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            return None
        value = str(value)
    text = value.strip()
    return text if 0 < len(text) <= MAX_REF_CHARACTERS else None


def _lines(products: object, currency: str) -> tuple[OrderLine, ...]:
    if not isinstance(products, list):
        return ()
    return tuple(
        line
        for product in products
        if isinstance(product, dict) and (line := _line(product, currency))
    )


def _line(product: Mapping[str, Any], currency: str) -> OrderLine | None:
    sku = reference(product.get("sku"))
    product_id = reference(first(product, "product_id", "productId", "id")) or sku
    if product_id is None:
        return None
    return OrderLine(
        product_id=product_id,
        sku=sku,
        name=_words_of(product.get("name")),
        quantity=_quantity(product.get("quantity")),
        unit_price=minor_units(product.get("price"), currency),
    )


def _quantity(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return 1
    return int(value) if 0 <= value <= _MAX_QUANTITY else 1


def _words_of(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
