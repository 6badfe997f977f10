"""ClickHouse reads events from Avro as Python would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from customeros.runtime.errors import PoisonRecord
from customeros.runtime.settings import ClickHouse, Settings
from customeros.schemas.codec import RESOLVED_EVENT
from customeros.schemas.event import Personal, ResolvedEvent
from customeros.schemas.topics import RESOLVED
from customeros.sinks.clickhouse.inserts import ClickHouse as Tables
from customeros.sinks.clickhouse.inserts import Pending, connect
from customeros.sinks.clickhouse.json_text import plain
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.rows import rows_of
from customeros.sinks.clickhouse.tables import EVENTS
from support.sink import NOON, an_event
from support.structs import a_value_of

pytestmark = pytest.mark.integration

_TIMES = ("occurred_at", "received_at")
_VERSIONS = st.integers(0, 2**63 - 1)
_TRAITS = st.dictionaries(
    st.text(max_size=3),
    st.sampled_from(
        ['"pro"', '"a\\u00e9\\"b"', '"\\ud800"', '"', "36", "null", '["x"]', "not json", ""]
    ),
    max_size=3,
)


def pending(value: bytes, offset: int) -> Pending:
    record = Record(RESOLVED, 1, offset, b"shop/c", value, NOON)
    ((_, row),) = rows_of(record)
    return Pending(row, record)


def expected(resolved: ResolvedEvent) -> dict[str, Any]:
    """The columns of an event, but for its times, which a table holds within bounds of its own."""
    event, order, message = resolved.event, resolved.event.order, resolved.event.message
    personal = event.personal or Personal()
    return {
        "workspace": event.workspace,
        "event_id": event.event_id,
        "source": event.source,
        "family": event.family,
        "kind": event.kind,
        "name": event.name,
        "identifier_key": event.identifier_keys[0] if event.identifier_keys else "",
        "resolved_customer_id": resolved.customer_id,
        "resolved_version": resolved.assignment_version,
        "account_id": event.account_id or "",
        "order_id": order.order_id if order else "",
        "order_action": order.action if order else "",
        "amount": order.total.amount if order else None,
        "currency": order.total.currency if order else "",
        "lines": [
            (line.product_id, line.sku, line.name, line.quantity, line.unit_price)
            for line in (order.lines if order else ())
        ],
        "channel": message.channel if message else "",
        "direction": message.direction if message else "",
        "conversation_id": message.conversation_id if message else "",
        "consent": sorted({one.purpose: one.granted for one in event.consent}.items()),
        "enrichment": sorted(resolved.enrichment.items()),
        "identifiers": [(one.type, one.value) for one in personal.identifiers],
        "traits": sorted((name, plain(value)) for name, value in personal.traits.items()),
        "properties": personal.properties or "{}",
        "context": personal.context or "{}",
        "author": personal.author or "",
        "text": personal.text or "",
        "_topic": "events.resolved",
        "_partition": 1,
    }


@pytest.fixture
def stored(clickhouse_url: str, clickhouse_database: str) -> Settings:
    return Settings(clickhouse=ClickHouse(url=clickhouse_url, database=clickhouse_database))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    drawn=st.lists(
        st.tuples(a_value_of(ResolvedEvent), _VERSIONS, _TRAITS), min_size=1, max_size=40
    )
)
def test_a_table_holds_what_an_event_says(
    stored: Settings, drawn: list[tuple[ResolvedEvent, int, dict[str, str]]]
) -> None:
    values = []
    for resolved, version, traits in drawn:
        personal = resolved.event.personal
        event = replace(
            resolved.event,
            occurred_at=NOON,
            received_at=NOON + 1,
            personal=personal and replace(personal, traits=traits),
        )
        values.append(replace(resolved, event=event, assignment_version=version))
    tables = Tables(stored)

    with connect(stored, stored.database) as client:
        client.command("TRUNCATE TABLE events_log")
        tables.insert(EVENTS, [pending(RESOLVED_EVENT.encode(v), n) for n, v in enumerate(values)])
        asked = client.query("SELECT * FROM events_log ORDER BY _offset")

    tables.close()
    found = [dict(zip(asked.column_names, row, strict=True)) for row in asked.result_rows]
    assert [comparable(row) for row in found] == [expected(value) for value in values]
    assert all(
        [int(row[at].timestamp() * 1000) for at in _TIMES] == [NOON, NOON + 1] for row in found
    )


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Without what an event does not say itself; maps as sorted pairs, tuples as tuples."""
    shown = {name: row[name] for name in EVENTS.names if name not in {*_TIMES, "_offset"}}
    for name in ("consent", "enrichment", "traits"):
        shown[name] = sorted(shown[name].items())
    for name in ("lines", "identifiers"):
        shown[name] = [
            tuple(each.values()) if isinstance(each, dict) else each for each in row[name]
        ]
    return shown


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 9), slice(0, 40)])
@pytest.mark.parametrize("more", [b"", b"\x02", b"\x00" * 40, b"\xff" * 40])
def test_bytes_that_are_no_event_are_told_from_events_that_do_not_fit(
    stored: Settings, cut: slice, more: bytes
) -> None:
    """Whatever they make of those behind them in the same file."""
    good = RESOLVED_EVENT.encode(
        ResolvedEvent(event=an_event(1), customer_id="c", assignment_version=0)
    )
    tables = Tables(stored)

    with pytest.raises(PoisonRecord) as refused:
        tables.insert(EVENTS, [pending(good, 0), pending(good[cut] + more, 1), pending(good, 2)])

    tables.close()
    assert refused.value.reason == "undecodable"


def test_an_event_that_does_not_fit_its_table_is_refused(stored: Settings) -> None:
    resolved = ResolvedEvent(event=an_event(1), customer_id="c", assignment_version=-1)
    tables = Tables(stored)

    with pytest.raises(PoisonRecord) as refused:
        tables.insert(EVENTS, [pending(RESOLVED_EVENT.encode(resolved), 0)])

    tables.close()
    assert refused.value.reason == "row_refused"
