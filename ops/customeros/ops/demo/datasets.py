"""The example files as tracking calls, and the truth to compare with."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

CDNOW_CURRENCY: Final = "USD"
_CDNOW_FILE = "cdnow_master.txt.gz"
_CHATS_FILE = "chitchat_1200.jsonl.gz"
_SESSIONS_FOLDER = "sdk_sessions"
_RECORDED_WRITE_KEY = b"WRITEKEY"
_CONNECTION_HEADERS = frozenset({"host", "connection", "content-length", "accept-encoding"})


class Purchase(NamedTuple):
    """One row of the purchase history; the same row may stand there twice."""

    row: int
    customer: str
    date: str
    items: int
    cents: int


class Totals(NamedTuple):
    orders: int
    cents: int


class RecordedRequest(NamedTuple):
    """A request of an official SDK, but with the write key of this installation."""

    path: str
    headers: dict[str, str]
    body: bytes
    message_ids: tuple[str, ...]


def purchases(examples: Path) -> Iterator[Purchase]:
    """The rows of the CDNOW file in its order."""
    with gzip.open(examples / _CDNOW_FILE, "rt") as lines:
        next(lines)
        for row, line in enumerate(lines):
            customer, date, items, dollars = line.split()
            cents = int(Decimal(dollars) * 100)
            yield Purchase(row, customer, f"{date[:4]}-{date[4:6]}-{date[6:]}", int(items), cents)


def purchase_call(purchase: Purchase) -> dict[str, Any]:
    """`Order Completed`, as a shop's back end would send it."""
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": f"cdnow-{purchase.customer}",
        "messageId": f"cdnow-{purchase.row}",
        "timestamp": f"{purchase.date}T12:00:00Z",
        "properties": {
            "order_id": f"cdnow-{purchase.row}",
            "total": purchase.cents / 100,
            "currency": CDNOW_CURRENCY,
            "products": [{"product_id": "cd", "quantity": purchase.items}],
        },
    }


def expected_totals(examples: Path) -> dict[str, Totals]:
    """The file's own group-by: user id to what that customer bought."""
    found: dict[str, Totals] = {}
    for purchase in purchases(examples):
        user = f"cdnow-{purchase.customer}"
        orders, cents = found.get(user, Totals(0, 0))
        found[user] = Totals(orders + 1, cents + purchase.cents)
    return found


def chat_calls(examples: Path) -> Iterator[dict[str, Any]]:
    """Every message of the chats, said by the one who wrote it."""
    with gzip.open(examples / _CHATS_FILE, "rt") as lines:
        for line in lines:
            chat = json.loads(line)
            said = (message for turn in chat["messages"] for message in turn)
            for number, message in enumerate(said):
                yield {
                    "type": "track",
                    "event": "Message Received",
                    "userId": f"chat-{message['sender']}",
                    "messageId": f"{chat['conversation']}-{number}",
                    "timestamp": message["timestamp"],
                    "properties": {
                        "channel": "chat",
                        "conversation_id": chat["conversation"],
                        "text": message["text"],
                    },
                }


def recorded_requests(examples: Path, write_key: str) -> Iterator[RecordedRequest]:
    """What the official SDKs posted, in the order they did."""
    for path in sorted((examples / _SESSIONS_FOLDER).glob("*.json")):
        recorded = json.loads(path.read_text())
        if recorded["method"] != "POST":
            continue
        headers = {name.lower(): value for name, value in recorded["headers"]}
        zipped = headers.get("content-encoding") == "gzip"
        body = base64.b64decode(recorded["body_base64"])
        plain = gzip.decompress(body) if zipped else body
        mine = plain.replace(_RECORDED_WRITE_KEY, write_key.encode())
        kept = {n: v for n, v in headers.items() if n not in _CONNECTION_HEADERS}
        kept["authorization"] = "Basic " + base64.b64encode(f"{write_key}:".encode()).decode()
        calls = recorded["body_json"].get("batch", [recorded["body_json"]])
        yield RecordedRequest(
            recorded["path"],
            kept,
            gzip.compress(mine) if zipped else mine,
            tuple(call["messageId"] for call in calls),
        )
