"""`GET /v1/customers/WHO/events`: newest first, page by page, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from customeros.schemas.identifier import Identifier, identifier_key
from customeros.serving.events import Cursor, cursor_text, read_cursor
from customeros.serving.render import Row
from support.customers import NOON, WORKSPACE, WORKSPACE_KEY, a_state, known, own_id

if TYPE_CHECKING:
    from .conftest import World

ADA = own_id("email", "ada@example.com")


def a_row(event_id: str = "m1", **facts: Any) -> Row:
    """A row as ClickHouse answers it; an event of Ada at noon."""
    return {
        "workspace": WORKSPACE,
        "identifier_key": identifier_key(WORKSPACE_KEY, Identifier("email", "ada@example.com")),
        "event_id": event_id,
        "source": "demo",
        "family": "behavioral",
        "kind": "track",
        "name": "Page Viewed",
        "occurred_ms": NOON,
        "received_ms": NOON + 5,
        "account_id": "",
        "order_id": "",
        "order_action": "",
        "amount": None,
        "lines": [],
        "currency": "",
        "channel": "",
        "direction": "",
        "conversation_id": "",
        "author": "",
        "text": "",
        "traits": {},
        "properties": "{}",
        "context": "{}",
        "enrichment": {},
    } | facts


@pytest.fixture(autouse=True)
def _ada(world: World) -> None:
    world.know(a_state(ADA, identifiers=(known("email", "ada@example.com"),)))


def pages(client: TestClient, *, limit: int) -> list[list[str]]:
    """The ids of every page, from the newest on."""
    found, query = [], f"limit={limit}"
    while True:
        page = client.get(f"/v1/customers/{ADA}/events?{query}").json()
        found.append([event["event_id"] for event in page["events"]])
        if page["next"] is None:
            return found
        query = f"limit={limit}&before={page['next']}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=8), st.integers(1, 4))
def test_pages_together_are_all_events_once(
    client: TestClient, world: World, places: list[tuple[int, int]], limit: int
) -> None:
    """Newest first, though many share their millisecond."""
    world.events.rows = [
        a_row(f"m{n}", occurred_ms=NOON + at, source=f"s{source}")
        for n, (at, source) in enumerate(places)
    ]

    found = pages(client, limit=limit)

    expected = sorted(
        ((r["occurred_ms"], r["source"], r["event_id"]) for r in world.events.rows), reverse=True
    )
    assert [event for page in found for event in page] == [event for *_, event in expected]
    assert all(len(page) == limit for page in found[:-1])


def test_a_time_is_a_cursor_too(client: TestClient, world: World) -> None:
    """Events before that time, not at it."""
    world.events.rows = [a_row("early", occurred_ms=NOON - 1), a_row("noon")]

    page = client.get(f"/v1/customers/{ADA}/events?before=2026-01-01T12:00:00Z").json()

    assert [event["event_id"] for event in page["events"]] == ["early"]


@given(st.integers(0, 2**42), st.text(max_size=20), st.text(max_size=20))
def test_a_cursor_is_read_as_it_was_written(at: int, source: str, event_id: str) -> None:
    """Whatever the ids are made of."""
    row = {"occurred_ms": at, "source": source, "event_id": event_id}

    assert read_cursor(cursor_text(row)) == Cursor(at, source, event_id)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "malformed_limit"),
        ("limit=501", "malformed_limit"),
        ("limit=-1", "malformed_limit"),
        ("limit=many", "malformed_limit"),
        ("limit=1e2", "malformed_limit"),
        ("limit=" + "9" * 5000, "malformed_limit"),
        ("before=", "malformed_before"),
        ("before=2026-13-01", "malformed_before"),
        ("before=WzFd", "malformed_before"),
        ("before=%C3%BC", "malformed_before"),
        ("before=WzFlOTksIiIsIiJd", "malformed_before"),
    ],
)
def test_malformed_questions_are_refused(client: TestClient, query: str, code: str) -> None:
    """With what may be asked instead."""
    refused = client.get(f"/v1/customers/{ADA}/events?{query}")

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("0001-01-01T00:00:00%2B14:00", []),
        ("9999-12-31", ["m1"]),
        ("9999-12-31T23:59-12:00", ["m1"]),
    ],
)
def test_no_time_is_too_early_or_too_late_to_ask_for(
    client: TestClient, world: World, time: str, expected: list[str]
) -> None:
    """There are just no events before the one, and all before the other."""
    world.events.rows = [a_row()]

    page = client.get(f"/v1/customers/{ADA}/events?before={time}").json()

    assert [event["event_id"] for event in page["events"]] == expected


def test_events_wait_for_clickhouse_and_customers_do_not(client: TestClient, world: World) -> None:
    """503 with `Retry-After` for the one, an answer from memory for the other."""
    world.events.away = True

    refused = client.get(f"/v1/customers/{ADA}/events")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert client.get(f"/v1/customers/{ADA}").status_code == 200


def test_orders_and_messages_are_parts_of_their_own(client: TestClient, world: World) -> None:
    """They are there when the event has them."""
    world.events.rows = [
        a_row("1"),
        a_row("2", order_id="o1", order_action="placed", amount=1995, currency="EUR"),
        a_row("3", conversation_id="t1", channel="whatsapp", direction="inbound", text="Hello"),
    ]

    third, second, first = client.get(f"/v1/customers/{ADA}/events").json()["events"]

    assert "order" not in first
    assert "message" not in first
    assert second["order"] == {
        "order_id": "o1",
        "action": "placed",
        "amount": 1995,
        "currency": "EUR",
        "lines": [],
    }
    assert third["message"]["text"] == "Hello"
