"""What every store holds at rest: the topics, ClickHouse's views, the API's copy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import clickhouse_connect

from customeros.ops.dead_letter_log import read_dead_letters
from customeros.ops.digest import read_digest
from customeros.ops.spans import newest, read, spans
from customeros.runtime.settings import Settings
from customeros.schemas.account import AccountStatus
from customeros.schemas.codec import ACCOUNT_STATE, CUSTOMER_STATE, EVENT, RESOLVED_EVENT
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATES
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.schemas.topics import EVENTS, RESOLVED
from support.chaos.oracle import Expected, Sums
from support.chaos.verdict import Found, Step
from support.chaos.watching import asked_of_api

POISON = b"\xff no event at all"


def written(settings: Settings) -> Counter[str]:
    """Ids of the events that the collector wrote, as often as they are there."""
    return Counter(
        EVENT.decode(message.value() or b"").event_id
        for message in read(settings, spans(settings, EVENTS.values()))
        if message.value() != POISON
    )


def found_in(settings: Settings, expected: Expected, steps_back: list[Step]) -> Found:
    """Everything, asked of each store itself."""
    resolved = Counter(
        RESOLVED_EVENT.decode(message.value() or b"").event.event_id
        for message in read(settings, spans(settings, [RESOLVED]))
    )
    states = [s for s in _states(settings) if s.status is Status.ACTIVE]
    accounts = newest(
        settings, ACCOUNT_STATES, spans(settings, [ACCOUNT_STATES]), ACCOUNT_STATE.decode
    ).values()
    letters = [found.letter for found in read_dead_letters(settings)]
    with clickhouse_connect.get_client(
        dsn=settings.clickhouse_url, database=settings.clickhouse.database
    ) as client:

        def rows(sql: str) -> list[Any]:
            return [tuple(row) for row in client.query(sql).result_rows]

        in_clickhouse = Counter({name: times for name, times in rows(_EVENTS)})
        rows_of_customers = {name: Sums(*sums) for name, *sums in rows(_CUSTOMERS)}
        added_up = {name: Sums(*sums) for name, *sums in rows(_ADDED_UP)}
        identifiers = dict(rows(_IDENTIFIERS))
        rows_of_accounts = dict(rows("SELECT account_id, events FROM accounts"))
        rows_of_letters = rows(_LETTERS)
    return Found(
        written(settings),
        resolved,
        in_clickhouse,
        {
            "customer-state": {s.customer_id: _sums(s) for s in states},
            "the view customers": rows_of_customers,
            "the view events, added up": added_up,
            "the API": dict(_asked(settings, expected.customers)),
        },
        {
            "customer-state": {
                f"{i.type}:{i.value}": s.customer_id for s in states for i in s.identifiers
            },
            "the view identifiers": identifiers,
        },
        {
            "account-state": {
                a.account_id: a.metrics.events
                for a in accounts
                if a.status is not AccountStatus.DELETED
            },
            "the view accounts": rows_of_accounts,
        },
        read_digest(settings).value,
        {
            "the topic": _message_ids(one.value for one in letters if one.stage == "collector"),
            "ClickHouse": _message_ids(
                v for stage, _, v in rows_of_letters if stage == "collector"
            ),
        },
        {
            "the topic": Counter(
                (one.key or b"").decode() for one in letters if one.stage != "collector"
            ),
            "ClickHouse": Counter(key for stage, key, _ in rows_of_letters if stage != "collector"),
        },
        steps_back,
    )


def _states(settings: Settings) -> Iterable[CustomerState]:
    return newest(settings, STATES, spans(settings, [STATES]), CUSTOMER_STATE.decode).values()


def _sums(state: CustomerState) -> Sums:
    metrics = state.metrics
    money = metrics.money.get("EUR")
    return Sums(
        metrics.events,
        metrics.orders,
        money.placed if money else 0,
        money.refunded if money else 0,
    )


def _asked(settings: Settings, customers: Mapping[str, Sums]) -> Iterator[tuple[str, Sums]]:
    for name in customers:
        found = asked_of_api(settings, name)
        if found is not None and found["customer_id"] == name:
            metrics = found["metrics"]
            money = metrics["money"].get("EUR", {})
            yield (
                name,
                Sums(
                    metrics["events"],
                    metrics["orders"],
                    money.get("placed", 0),
                    money.get("refunded", 0),
                ),
            )


def _message_ids(values: Iterable[bytes | str]) -> Counter[str]:
    return Counter(str(json.loads(value)["messageId"]) for value in values)


_EVENTS = "SELECT event_id, count() FROM events GROUP BY event_id"
_CUSTOMERS = """
    SELECT customer_id, events, orders, placed['EUR'], refunded['EUR'] FROM customers
"""
# What analysts add up themselves must be what the states say.
_ADDED_UP = """
    SELECT customer_id, count(), countIf(order_action = 'placed'),
           sum(if(order_action = 'placed', ifNull(amount, 0), 0)),
           sum(if(order_action = 'refunded', ifNull(amount, 0), 0))
    FROM events GROUP BY customer_id
"""
_IDENTIFIERS = "SELECT concat(type, ':', value), customer_id FROM identifiers"
_LETTERS = "SELECT stage, key, value FROM dead_letters"
