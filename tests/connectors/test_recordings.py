"""Each recorded request of the official SDKs gets its answer and becomes the right events."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from customeros.schemas.event import Event, Money, Order, OrderAction, OrderLine
from support.collecting import RememberingPublisher, Reply, a_collector, ask, serving

_FOLDER = Path(__file__).parents[2] / "examples" / "sdk_sessions"
_RECORDINGS = sorted(_FOLDER.glob("*.json"))
_POSTS = [path for path in _RECORDINGS if '"method": "POST"' in path.read_text()]

_ADA = "user_id:user-42"
_EMAIL = "email:ada.lovelace@example.com"
_PHONE = "phone:+442079460018"
_ANON = "anonymous_id:anon-1"
_BROWSER = "anonymous_id:*"

_LINES = (
    OrderLine(product_id="p1", sku="S1", quantity=1, unit_price=1995),
    OrderLine(product_id="p2", quantity=1, unit_price=2000),
)


def _order(*lines: OrderLine) -> Order:
    total = Money(3995, "EUR")
    return Order(order_id="o-1", action=OrderAction.PLACED, total=total, lines=lines)


_TRAITS = {
    "email": '"Ada.Lovelace@Example.COM"',
    "name": '"Ada Lovelace"',
    "phone": '"+44 20 7946 0018"',
}
_BROWSER_PAGE = {
    "path": "/page",
    "referrer": "",
    "title": "Shop",
    "category": "Docs",
    "name": "Ingestion",
}

# What each call of a session becomes: (kind, name) to family, identifiers (the primary one
# first), and what else is in it. The sessions make the same calls over and over.
_EXPECTED: dict[str, dict[tuple[str, str], dict[str, Any]]] = {
    "python": {
        ("identify", "Identified"): {
            "family": "demographic",
            "identifiers": [_ADA, _EMAIL, _PHONE],
            "traits": {
                **_TRAITS,
                "plan": '"pro"',
                "createdAt": '"2024-01-02T03:04:05+00:00"',
                "address": '{"city":"London","country":"GB"}',
            },
        },
        ("track", "Order Completed"): {
            "family": "transactional",
            "identifiers": [_ADA, _ANON],
            "order": _order(*_LINES),
            # 2024-05-06T07:08:09.123+02:00, given by the caller
            "occurred_at": 1_714_972_089_123,
        },
        ("track", "Product Viewed"): {
            "family": "behavioral",
            "identifiers": [_ANON],
            "properties": {"sku": "S1"},
        },
        ("track", "Retry Me"): {"family": "behavioral", "identifiers": [_ADA]},
        ("track", "Reject Me"): {"family": "behavioral", "identifiers": [_ADA]},
        ("page", "Page Viewed"): {
            "family": "behavioral",
            "identifiers": [_ADA],
            "properties": {
                "url": "https://shop.example/docs",
                "referrer": "https://google.com",
                "name": "Ingestion",
                "category": "Docs",
            },
        },
        ("screen", "Screen Viewed"): {
            "family": "behavioral",
            "identifiers": [_ADA],
            "properties": {"build": 7, "name": "Main", "category": "Home"},
        },
        ("group", "Group Joined"): {
            "family": "demographic",
            "identifiers": [_ADA],
            "account_id": "acct-9",
            "properties": {"name": "Analytical Engines Ltd", "employees": 12},
        },
        ("alias", "Aliased"): {"family": "demographic", "identifiers": [_ADA, _ANON]},
    },
    "next": {
        ("page", "Page Viewed"): {
            "family": "behavioral",
            # made before identify, and stamped with its user all the same
            "identifiers": [_ADA, _BROWSER],
            "properties": _BROWSER_PAGE,
        },
        ("track", "Product Viewed"): {
            "family": "behavioral",
            "identifiers": [_ADA, _BROWSER],
            "properties": {"sku": "S1"},
        },
        ("track", "Order Completed"): {
            "family": "transactional",
            "identifiers": [_ADA, _BROWSER],
            # it names no currency, so it is no order
            "properties": {"order_id": "o-1", "revenue": 39.95},
        },
        ("identify", "Identified"): {
            "family": "demographic",
            "identifiers": [_ADA, _EMAIL, _BROWSER],
            "traits": {"email": '"Ada.Lovelace@Example.COM"', "name": '"Ada Lovelace"'},
        },
        ("group", "Group Joined"): {
            "family": "demographic",
            "identifiers": [_ADA, _BROWSER],
            "account_id": "acct-9",
            "properties": {"name": "AE Ltd"},
        },
        # an alias of somebody to themselves, which names nobody else
        ("alias", "Aliased"): {"family": "demographic", "identifiers": [_ADA, _BROWSER]},
    },
}
_EXPECTED["node"] = {
    **_EXPECTED["python"],
    ("identify", "Identified"): {
        "family": "demographic",
        "identifiers": [_ADA, _EMAIL, _PHONE],
        "traits": {**_TRAITS, "createdAt": '"2024-01-02T03:04:05.000Z"'},
    },
    ("track", "Order Completed"): {
        **_EXPECTED["python"]["track", "Order Completed"],
        "order": _order(_LINES[0]),
    },
    ("page", "Page Viewed"): {
        "family": "behavioral",
        "identifiers": [_ADA],
        "properties": {"url": "https://shop.example/docs", "category": "Docs", "name": "Ingestion"},
    },
    ("screen", "Screen Viewed"): {
        "family": "behavioral",
        "identifiers": [_ADA],
        "properties": {"build": 7, "name": "Main"},
    },
}


@pytest.fixture(scope="module")
def publisher() -> RememberingPublisher:
    return RememberingPublisher()


@pytest.fixture(scope="module")
def port(publisher: RememberingPublisher) -> Iterator[int]:
    with serving(a_collector(publisher)) as port:
        yield port


def _replay(port: int, recording: dict[str, Any]) -> Reply:
    return ask(
        port,
        recording["method"],
        recording["path"],
        base64.b64decode(recording["body_base64"]) or None,
        [(name, value) for name, value in recording["headers"] if name != "Connection"],
    )


@pytest.mark.parametrize("path", _RECORDINGS, ids=lambda path: path.stem.removeprefix("segment-"))
def test_every_recorded_request_gets_what_its_sdk_needs(port: int, path: Path) -> None:
    """200 and success, where the recording was answered an error too: that one was simulated."""
    recording = json.loads(path.read_text())
    asked = {name.lower(): value for name, value in recording["headers"]}

    reply = _replay(port, recording)

    assert reply.status == 200
    if recording["method"] == "POST":
        assert json.loads(reply.body) == {"success": True}
    if origin := asked.get("origin"):
        assert reply.headers["access-control-allow-origin"] == origin
        assert reply.headers["access-control-allow-credentials"] == "true"
        assert reply.headers["access-control-expose-headers"] == "retry-after"
    if recording["method"] == "OPTIONS":
        assert reply.headers["access-control-allow-headers"] == "authorization"
        assert "POST" in reply.headers["access-control-allow-methods"]
    if recording["path"].endswith("/settings"):
        destination = json.loads(reply.body)["integrations"]["Segment.io"]
        assert destination["apiKey"] == "WRITEKEY"
        assert destination["apiHost"] == f"{asked['host']}/v1"
        assert destination["protocol"] == "http"


@pytest.mark.parametrize("path", _POSTS, ids=lambda path: path.stem.removeprefix("segment-"))
def test_every_recorded_call_becomes_the_right_event(
    port: int, publisher: RememberingPublisher, path: Path
) -> None:
    """One event a call, in its order, with family, identifiers, traits, properties and order."""
    recording = json.loads(path.read_text())
    calls = recording["body_json"].get("batch", [recording["body_json"]])
    publisher.records.clear()

    _replay(port, recording)

    assert publisher.dead_letters == []
    assert [event.event_id for event in publisher.events] == [call["messageId"] for call in calls]
    expected = _EXPECTED[path.stem.split("-")[2]]
    for event, call in zip(publisher.events, calls, strict=True):
        _check(event, call, expected[event.kind, event.name])


def _check(event: Event, call: dict[str, Any], expected: dict[str, Any]) -> None:
    personal = event.personal
    assert personal is not None
    anonymous = call.get("anonymousId")
    identifiers = [str(identifier) for identifier in personal.identifiers]

    assert event.kind == call["type"]
    assert event.family == expected["family"]
    assert identifiers == [
        f"anonymous_id:{anonymous}" if name == _BROWSER else name
        for name in expected["identifiers"]
    ]
    assert len(event.identifier_keys) == len(identifiers)
    assert personal.traits == expected.get("traits", {})
    properties = json.loads(personal.properties)
    assert properties.items() >= expected.get("properties", {}).items()
    assert json.loads(personal.context) == call["context"]
    assert event.order == expected.get("order")
    assert event.account_id == expected.get("account_id")
    assert event.occurred_at == expected.get("occurred_at", event.timestamp)
    assert event.message is None
    assert event.consent == ()
    assert event.sent_at is not None
