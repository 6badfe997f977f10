"""Members and subsidiaries on a real ClickHouse, in the tables of the sink."""

from __future__ import annotations

import msgspec
import pytest

from customeros.runtime.settings import ClickHouse, Settings
from customeros.schemas.topics import ACCOUNT_STATE, CUSTOMER_STATE
from customeros.serving.accounts import ClickHouseLists
from customeros.sinks.clickhouse.inserts import ClickHouse as Tables
from customeros.sinks.clickhouse.inserts import Pending
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.states import account_row, customer_row
from customeros.sinks.clickhouse.tables import ACCOUNTS, CUSTOMERS
from support import samples
from support.customers import NOON, WORKSPACE

pytestmark = pytest.mark.integration


def test_members_and_subsidiaries_are_listed_from_any_place_on(
    clickhouse_url: str, clickhouse_database: str
) -> None:
    settings = Settings(clickhouse=ClickHouse(url=clickhouse_url, database=clickhouse_database))
    tables = Tables(settings)
    people, children = [], []
    for number in range(4):
        record = Record(CUSTOMER_STATE, 0, number, b"k", b"v", NOON)
        state = msgspec.structs.replace(samples.STATE, customer_id=f"c{number}")
        people.append(Pending(customer_row(state, record), record))
        record = Record(ACCOUNT_STATE, 0, number, b"k", b"v", NOON)
        child = msgspec.structs.replace(samples.ACCOUNT, account_id=f"a{number}", parent="acme")
        children.append(Pending(account_row(child, record), record))
    try:
        tables.insert(CUSTOMERS, people)
        tables.insert(ACCOUNTS, children)
    finally:
        tables.close()

    lists = ClickHouseLists(settings)
    members = lists.members(WORKSPACE, "acme", "c0", limit=2)
    subsidiaries = lists.subsidiaries(WORKSPACE, "acme", "", limit=3)

    assert [member["customer_id"] for member in members] == ["c1", "c2"]
    assert members[0] == {
        "customer_id": "c1",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "role": "buyer",
        "since_ms": NOON - 60_000,
        "last_seen_ms": NOON,
    }
    assert [child["account_id"] for child in subsidiaries] == ["a0", "a1", "a2"]
    assert lists.members(WORKSPACE, "globex", "", limit=2) == []
