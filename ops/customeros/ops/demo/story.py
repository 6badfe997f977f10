"""One reader of a small bookshop, from an anonymous visit to a return, as tracking calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

READER: Final = "email:ada@example.com"

_LAPTOP = "5f2a9c1e-laptop"
_PHONE = "b81d70e4-phone"
_USER = "reader-1815"
_EMAIL = "ada@example.com"
_NUMBER = "+447700900815"
_SHOP = "https://books.example"
_NOTES = {"product_id": "isbn-9781482390223", "name": "Notes on the Analytical Engine"}
_POEMS = {"product_id": "isbn-9780141442419", "name": "Selected Poems"}


def story(now: datetime) -> Iterator[dict[str, Any]]:
    """The calls in the order they happened, the last one an hour before *now*."""
    start = now - timedelta(days=20, hours=1)
    for number, (day, hour, call) in enumerate(_chapters()):
        happened = (start + timedelta(days=day, hours=hour)).isoformat()
        yield {**call, "timestamp": happened, "messageId": f"bookshop-{number}"}


def _chapters() -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(day, hour, call): who is known by what changes as the story goes."""
    yield 0, 0, _page(_LAPTOP, "/", campaign={"source": "friend", "medium": "referral"})
    yield 0, 0, _track("Product Viewed", {**_NOTES, "price": 19.95}, anonymousId=_LAPTOP)
    yield 2, 6, _page(_PHONE, "/poetry")
    yield 2, 6, _track("Product Viewed", {**_POEMS, "price": 20.00}, anonymousId=_PHONE)
    yield (
        3,
        2,
        {
            "type": "identify",
            "anonymousId": _LAPTOP,
            "traits": {"email": "Ada@Example.com ", "firstName": "Ada"},
            "context": {"consent": {"categoryPreferences": {"newsletter": True, "ads": False}}},
        },
    )
    yield (
        5,
        1,
        {
            "type": "identify",
            "userId": _USER,
            "anonymousId": _LAPTOP,
            "traits": {"email": _EMAIL, "name": "Ada King", "createdAt": "2026-11-01T10:00:00Z"},
        },
    )
    yield 6, 9, {"type": "identify", "userId": _USER, "anonymousId": _PHONE, "traits": {}}
    yield (
        7,
        9,
        _track("Product Added", {**_POEMS, "price": 20.00}, userId=_USER, anonymousId=_PHONE),
    )
    order = {"order_id": "1001", "currency": "EUR"}
    lines = [{**_NOTES, "quantity": 1, "price": 19.95}, {**_POEMS, "quantity": 1, "price": 20.00}]
    yield (
        7,
        10,
        _track(
            "Order Completed",
            {**order, "total": 39.95, "products": lines},
            userId=_USER,
            anonymousId=_PHONE,
        ),
    )
    yield 7, 10, {"type": "identify", "userId": _USER, "traits": {"phone": "+44 7700 900815"}}
    circle = {"name": "Reading circle of the Royal Society", "role": "librarian"}
    yield 8, 4, {"type": "group", "userId": _USER, "groupId": "reading-circle", "traits": circle}
    yield 10, 4, _whatsapp("Message Received", "inbound", "Hello, when will my books arrive?")
    yield 10, 5, _whatsapp("Message Sent", "outbound", "Good morning Ada, on Thursday.")
    yield (
        13,
        3,
        _track(
            "Ticket Opened",
            {
                "ticket_id": "T-77",
                "channel": "email",
                "text": "A page of the poems is torn, may I return the book?",
            },
            context={"traits": {"email": _EMAIL}},
        ),
    )
    refund = {**order, "total": 20.00, "products": [{**_POEMS, "quantity": 1, "price": 20.00}]}
    yield 16, 2, _track("Order Refunded", refund, userId=_USER)
    yield 20, 0, _track("Product Reviewed", {**_NOTES, "rating": 5}, userId=_USER)


def _track(event: str, properties: dict[str, Any], **who: Any) -> dict[str, Any]:
    return {"type": "track", "event": event, "properties": properties, **who}


def _page(device: str, path: str, **context: Any) -> dict[str, Any]:
    page = {"url": _SHOP + path, "path": path, "title": "A small bookshop"}
    return {
        "type": "page",
        "anonymousId": device,
        "properties": page,
        "context": {"page": page, **context},
    }


def _whatsapp(event: str, direction: str, text: str) -> dict[str, Any]:
    said = {
        "channel": "whatsapp",
        "conversation_id": "wa-1815",
        "direction": direction,
        "text": text,
        "whatsapp_id": _NUMBER.removeprefix("+"),
    }
    return _track(event, said, context={"traits": {"phone": _NUMBER}})
