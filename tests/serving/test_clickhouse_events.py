"""Events on a real ClickHouse, in the tables of the sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import pytest

from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import ClickHouse, Settings
from customeros.schemas.codec import RESOLVED_EVENT
from customeros.schemas.event import (
    Event,
    ResolvedEvent,
)
from customeros.schemas.topics import RESOLVED
from customeros.serving import render
from customeros.serving.events import (
    NEWEST,
    ClickHouseEvents,
    Cursor,
    Events,
    Whose,
    cursor_text,
    read_cursor,
    whose,
)
from customeros.sinks.clickhouse.inserts import ClickHouse as Tables
from customeros.sinks.clickhouse.inserts import Pending
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.rows import rows_of
from customeros.sinks.clickhouse.tables import EVENTS
from support import samples
from support.customers import NOON, WORKSPACE, a_state, known
from support.events import ListedEvents
from support.ports import free_port

pytestmark = pytest.mark.integration

ADA = Whose(WORKSPACE, samples.ADA, (known("user_id", "ada").key,))


def an_event(number: int, **facts: object) -> Event:
    return msgspec.structs.replace(samples.EVENT, event_id=f"m{number}", **facts)


def fill(settings: Settings, events: Iterable[Event]) -> None:
    """Insert events as the sink does."""
    pending = []
    for offset, event in enumerate(events):
        resolved = ResolvedEvent(event=event, customer_id=samples.ADA, assignment_version=0)
        record = Record(RESOLVED, 0, offset, b"k", RESOLVED_EVENT.encode(resolved), NOON)
        pending += [Pending(row, record) for _, row in rows_of(record)]
    tables = Tables(settings)
    try:
        tables.insert(EVENTS, pending)
    finally:
        tables.close()


@pytest.fixture
def settings(clickhouse_url: str, clickhouse_database: str) -> Settings:
    return Settings(clickhouse=ClickHouse(url=clickhouse_url, database=clickhouse_database))


@pytest.fixture
def events(settings: Settings) -> ClickHouseEvents:
    return ClickHouseEvents(settings)


def test_an_event_comes_back_as_it_was_sent(settings: Settings, events: ClickHouseEvents) -> None:
    """Money, message, traits and properties included."""
    fill(settings, [samples.EVENT])

    (row,) = events.before(ADA, NEWEST, limit=10)

    assert render.event(row) == {
        "event_id": "order-1",
        "source": "demo",
        "family": "transactional",
        "kind": "track",
        "name": "Order Completed",
        "occurred_at": "2026-01-01T12:00:00.000Z",
        "received_at": "2026-01-01T12:00:00.040Z",
        "account_id": None,
        "traits": {"name": "Ada Lovelace"},
        "properties": {"total": 19.95},
        "context": {},
        "enrichment": {},
        "order": {
            "order_id": "o-1001",
            "action": "placed",
            "amount": 1995,
            "currency": "EUR",
            "lines": [
                {
                    "product_id": "BK-1",
                    "sku": None,
                    "name": "Notes",
                    "quantity": 1,
                    "unit_price": 1995,
                }
            ],
        },
        "message": {
            "channel": "whatsapp",
            "direction": "inbound",
            "conversation_id": "t-7",
            "author": "Ada",
            "text": "Hello",
        },
    }


@pytest.fixture(params=["list", "clickhouse"])
def holding(request: pytest.FixtureRequest) -> Callable[[Sequence[Event]], Events]:
    """Makes an `Events` that holds these: the real one, and what other tests use in its place."""
    if request.param == "list":
        return lambda given: ListedEvents([samples.row(event) for event in given])
    settings = request.getfixturevalue("settings")

    def build(given: Sequence[Event]) -> Events:
        fill(settings, given)
        return ClickHouseEvents(settings)

    return build


def test_pages_lose_nothing_where_many_share_a_millisecond(
    holding: Callable[[Sequence[Event]], Events],
) -> None:
    """And the events of others do not appear."""
    mine = [an_event(n, occurred_at=NOON + n // 5, source=f"s{n % 2}") for n in range(23)]
    others = [an_event(99, identifier_keys=("k",)), an_event(98, workspace="elsewhere")]
    events = holding([*mine, *others])

    found: list[str] = []
    cursor = NEWEST
    while page := events.before(ADA, cursor, limit=4):
        found += [row["event_id"] for row in page]
        cursor = read_cursor(cursor_text(page[-1]))

    expected = sorted(mine, key=lambda e: (e.occurred_at, e.source, e.event_id), reverse=True)
    assert found == [event.event_id for event in expected]


def test_a_time_reaches_from_the_first_year_to_the_last(
    holding: Callable[[Sequence[Event]], Events],
) -> None:
    """Cursors at the borders of what ClickHouse holds are no error."""
    events = holding([an_event(1, occurred_at=0), an_event(2)])

    assert [row["event_id"] for row in events.before(ADA, NEWEST, limit=9)] == ["m2", "m1"]
    assert events.before(ADA, Cursor(0), limit=9) == []


def test_rows_are_the_same(holding: Callable[[Sequence[Event]], Events]) -> None:
    """Column by column, as far as the API tells them."""
    (row,) = holding([samples.EVENT]).before(ADA, NEWEST, limit=1)

    assert render.event(row) == render.event(samples.row(samples.EVENT))


def test_a_customer_of_very_many_identifiers_is_found_by_its_id(
    settings: Settings, events: ClickHouseEvents
) -> None:
    """Its state leaves some identifiers out."""
    fill(settings, [an_event(1, identifier_keys=("left out",))])
    few = a_state(samples.ADA, identifiers=(known("user_id", "ada"),))
    many = a_state(
        samples.ADA, identifiers=tuple(known("anonymous_id", f"{n:0250}") for n in range(90))
    )

    assert events.before(whose(few), NEWEST, limit=9) == []
    assert len(events.before(whose(many), NEWEST, limit=9)) == 1


def test_a_server_without_tables_is_asked_again_later(events: ClickHouseEvents) -> None:
    """The sink makes them at its first start."""
    with pytest.raises(Unavailable):
        events.before(ADA, NEWEST, limit=1)


def test_a_server_that_is_away_is_asked_again_later() -> None:
    """Within seconds, and without a connection that is kept half-made."""
    away = ClickHouseEvents(Settings(clickhouse=ClickHouse(url=f"http://127.0.0.1:{free_port()}")))

    for _ in range(2):
        with pytest.raises(Unavailable):
            away.before(ADA, NEWEST, limit=1)
