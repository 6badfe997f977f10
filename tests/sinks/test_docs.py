"""Every query of docs/clickhouse.md runs, and answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from customeros.schemas.account import AccountState
from customeros.schemas.customer import (
    Consent,
    CurrencyTotals,
    CustomerState,
    KnownIdentifier,
    Membership,
    Metrics,
    Trait,
)
from customeros.schemas.dead_letter import DeadLetter, Origin
from customeros.schemas.event import (
    Direction,
    Event,
    Message,
    Money,
    Order,
    OrderAction,
    OrderLine,
    Personal,
)
from customeros.schemas.identity import IdentityLink
from customeros.sinks.clickhouse.tables import TABLES
from support.sink import NOON, SinkStack, an_event

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "clickhouse.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


def reader() -> CustomerState:
    said: dict[str, Any] = {"source": "web", "event_id": "e", "occurred_at": NOON}
    return CustomerState(
        workspace="default",
        customer_id="c-ada",
        version=NOON,
        identifiers=(
            KnownIdentifier(
                key="nid-ada",
                type="email",
                value="ada@example.com",
                source="web",
                first_seen_at=NOON,
                last_seen_at=NOON,
                since=0,
            ),
        ),
        traits={"plan": Trait(value='"pro"', **said)},
        consent={"newsletter": Consent(granted=True, **said)},
        accounts={
            "acme": Membership(
                role="buyer", since=NOON, last_seen_at=NOON, source="web", event_id="e"
            )
        },
        metrics=Metrics(
            orders=1, by_family={"transactional": 1}, money={"EUR": CurrencyTotals(placed=1995)}
        ),
    )


def events() -> list[Event]:
    order = Order(
        order_id="o1",
        action=OrderAction.PLACED,
        total=Money(1995, "EUR"),
        lines=(OrderLine(product_id="p1"),),
    )
    message = Message(channel="whatsapp", direction=Direction.INBOUND, conversation_id="m1")
    viewed = Personal(properties='{"category": "poetry"}')
    told = [
        an_event(1, personal=viewed),
        an_event(2, name="Product Added"),
        an_event(3, name="Order Completed", order=order),
        an_event(4, name="Message Received", message=message),
    ]
    return [msgspec.structs.replace(event, workspace="default") for event in told]


def test_every_query_of_the_page_answers(stack: SinkStack) -> None:
    acme = AccountState(
        workspace="default",
        account_id="acme",
        version=NOON,
        metrics=Metrics(orders=1, money={"EUR": CurrencyTotals(placed=1995)}),
        traits={
            "plan": Trait(value='"team"', source="crm", event_id="e", occurred_at=NOON),
        },
    )
    letter = DeadLetter(
        workspace="default",
        source="web",
        stage="collector",
        reason="too_large",
        detail="",
        origin=Origin(),
        failed_at=NOON,
        key=None,
        value=b"{}",
    )
    refused = IdentityLink(
        workspace="default",
        a="nid-ada",
        b="nid-eve",
        version=NOON,
        a_type="user_id",
        b_type="device_id",
        strength=1,
        occurred_at=NOON,
        event_id="e1",
        source="web",
        rule="seen_track",
        refused="limit",
        detail="user_id",
    )
    with stack.sink():
        stack.send(*events(), reader(), acme, letter, refused)
        stack.until_rows("SELECT count() FROM events", [(4,)])
        stack.until_rows("SELECT count() FROM identifiers", [(1,)])
        stack.until_rows("SELECT count() FROM accounts", [(1,)])
        stack.until_rows("SELECT count() FROM dead_letters", [(1,)])
        stack.until_rows("SELECT count() FROM conflicts", [(1,)])

    assert len(QUERIES) > 10
    for query in QUERIES:
        assert stack.ask(query), query


def test_the_tables_hold_what_is_inserted_and_nothing_is_missing(stack: SinkStack) -> None:
    """The tables' columns and those that are inserted are the same in the same order."""
    with stack.sink():
        stack.until_rows("SELECT count() FROM dead_letters", [(0,)])

    for table in TABLES:
        found = stack.ask(
            "SELECT name FROM system.columns WHERE database = currentDatabase()"  # noqa: S608  (ours)
            f" AND table = '{table.name}' AND default_kind = '' ORDER BY position"
        )
        assert [name for (name,) in found] == table.names
