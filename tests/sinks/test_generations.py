"""People ask under one name, whichever generation answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import clickhouse_connect
import pytest

from customeros.runtime.settings import ClickHouse as ClickHouseSettings
from customeros.runtime.settings import Settings
from customeros.sinks.clickhouse.generations import discard, publish
from customeros.sinks.clickhouse.inserts import ClickHouse
from customeros.sinks.clickhouse.tables import TABLES, views

pytestmark = pytest.mark.integration


@pytest.fixture
def first(clickhouse_url: str, clickhouse_database: str) -> Iterator[Settings]:
    """Of a generation whose tables are there, as those of the second are."""
    settings = Settings(
        clickhouse=ClickHouseSettings(url=clickhouse_url, database=clickhouse_database)
    )
    for generation in (1, 2):
        ClickHouse(settings.of(generation)).close()
        _ask(
            settings,
            f"INSERT INTO {settings.of(generation).database}.customers_log"  # noqa: S608
            f" (customer_id, status, orders) VALUES ('c-{generation}', 'active', {generation})",
        )
    yield settings
    _ask(settings, f"DROP DATABASE IF EXISTS {settings.of(2).database}")


def _ask(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    with clickhouse_connect.get_client(
        dsn=settings.clickhouse_url, database=settings.clickhouse.database
    ) as client:
        return [tuple(row) for row in client.query(sql).result_rows]


def test_what_people_ask_follows_the_generation_that_is_published_and_back(first: Settings) -> None:
    assert _ask(first, "SELECT customer_id FROM customers") == [("c-1",)]

    for generation in (2, 2, 1, 2):
        publish(first.of(generation))

        found = _ask(first, "SELECT customer_id, orders FROM customers WHERE workspace = ''")
        assert found == [(f"c-{generation}", generation)]
        for view in views():
            _ask(first, f"SELECT * FROM {view} LIMIT 1")  # noqa: S608


def test_a_sink_that_starts_leaves_the_names_to_whom_they_were_given(first: Settings) -> None:
    """That of a former generation too; its own columns it keeps up to date."""
    publish(first.of(2))
    _ask(first, f"CREATE OR REPLACE VIEW {first.database}.links AS SELECT 1 AS old")

    for generation in (1, 2):
        ClickHouse(first.of(generation)).close()

    assert _ask(first, "SELECT customer_id FROM customers") == [("c-2",)]
    assert _ask(first, "SELECT strength FROM links") == []
    publish(first)
    ClickHouse(first.of(2)).close()
    assert _ask(first, "SELECT customer_id FROM customers") == [("c-1",)]


def test_a_filter_reaches_the_sort_key_through_the_published_view(first: Settings) -> None:
    """Being one view further costs no scan."""
    publish(first.of(2))

    plan = _ask(
        first,
        "EXPLAIN indexes = 1 SELECT * FROM customers WHERE workspace = 'x' AND customer_id = 'y'",
    )

    text = " ".join(str(line) for (line,) in plan)
    assert re.search(r"PrimaryKey\s+Keys:\s+workspace\s+customer_id", text), text


def test_a_generation_that_is_dropped_leaves_what_people_ask(first: Settings) -> None:
    publish(first.of(2))

    for _ in range(2):
        discard(first)

    assert _ask(first, "SELECT customer_id FROM customers") == [("c-2",)]
    left = {str(name) for (name,) in _ask(first, "SHOW TABLES")}
    assert not left & {table.name for table in TABLES}

    publish(first)
    discard(first.of(2))

    assert _ask(first, "SELECT count() FROM customers") == [(0,)]
    assert (first.of(2).database,) not in _ask(first, "SHOW DATABASES")
