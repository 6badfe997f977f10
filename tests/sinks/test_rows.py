"""Rows are functions of records, and fit their tables whatever the record holds."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.schemas.account import AccountState
from customeros.schemas.codec import (
    ACCOUNT_STATE,
    ASSIGNMENT,
    CUSTOMER_STATE,
    DEAD_LETTER,
    IDENTITY_LINK,
    RESOLVED_EVENT,
    AvroCodec,
    Undecodable,
)
from customeros.schemas.customer import (
    CurrencyTotals,
    CustomerState,
    KnownIdentifier,
    Metrics,
    Trait,
)
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import ResolvedEvent
from customeros.schemas.identity import Assignment, IdentityLink
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATES
from customeros.schemas.topics import ASSIGNMENTS, DEAD_LETTERS, LINKS, RESOLVED, Topic
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.sinks.clickhouse import tables
from customeros.sinks.clickhouse.inserts import arrow_table
from customeros.sinks.clickhouse.json_text import json_object
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.rows import SOURCES, rows_of
from support.sink import NOON
from support.structs import TEXTS, a_value_of

KINDS: list[tuple[Topic, AvroCodec[Any], type[msgspec.Struct]]] = [
    (RESOLVED, RESOLVED_EVENT, ResolvedEvent),
    (STATES, CUSTOMER_STATE, CustomerState),
    (ACCOUNT_STATES, ACCOUNT_STATE, AccountState),
    (ASSIGNMENTS, ASSIGNMENT, Assignment),
    (LINKS, IDENTITY_LINK, IdentityLink),
    (DEAD_LETTERS, DEAD_LETTER, DeadLetter),
]
ANY = pytest.mark.parametrize(("topic", "avro", "struct"), KINDS, ids=[k[0].name for k in KINDS])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=3), inner),
    max_leaves=8,
)


def a_record(topic: Topic, value: bytes | None, key: bytes = b"shop/c-ada") -> Record:
    return Record(topic, partition=1, offset=7, key=key, value=value, timestamp=NOON)


def one_row(record: Record) -> dict[str, Any]:
    ((table, row),) = rows_of(record)
    return dict(zip(table.columns.names, row, strict=True))


@ANY
@given(data=st.data())
def test_any_value_of_a_topic_becomes_rows_of_its_tables(
    topic: Topic, avro: AvroCodec[Any], struct: type[msgspec.Struct], data: st.DataObject
) -> None:
    """Arrow takes them, unless a number does not fit its column."""
    record = a_record(topic, avro.encode(data.draw(a_value_of(struct))))

    for table, row in rows_of(record):
        assert row[-2:] == (1, 7)
        if table is tables.EVENTS:  # see test_events.py
            continue
        assert len(row) == len(table.columns)
        try:
            assert arrow_table(table, [row]).num_rows == 1
        except OverflowError:
            # What is spent is a difference of sums, which may be beyond 64 bits.
            assert struct in {CustomerState, AccountState} or any(_negative(value) for value in row)
        except ValueError:
            assert any(_negative(value) for value in row)


def _negative(value: object) -> bool:
    return isinstance(value, int) and value < 0


@ANY
@given(garbage=st.binary(max_size=50))
def test_garbage_is_undecodable(
    topic: Topic, avro: AvroCodec[Any], struct: type[msgspec.Struct], garbage: bytes
) -> None:
    with pytest.raises(Undecodable):
        list(rows_of(a_record(topic, b"x" + garbage)))


def test_every_source_is_tried_here() -> None:
    assert set(SOURCES) == {kind[0] for kind in KINDS}


def test_a_tombstone_of_a_customer_is_a_deleted_row_as_old_as_itself() -> None:
    row = one_row(a_record(STATES, None))

    assert (row["workspace"], row["customer_id"]) == ("shop", "c-ada")
    assert (row["status"], row["version"]) == ("deleted", NOON)


def test_a_tombstone_of_an_organisation_is_a_deleted_row_as_old_as_itself() -> None:
    row = one_row(a_record(ACCOUNT_STATES, None, b"shop/a/b"))

    assert (row["workspace"], row["account_id"]) == ("shop", "a/b")
    assert (row["status"], row["version"]) == ("deleted", NOON)


def test_a_tombstone_of_an_assignment_is_a_deleted_row() -> None:
    row = one_row(a_record(ASSIGNMENTS, None, b"shop/nid"))

    assert (row["key"], row["deleted"], row["version"]) == ("nid", True, NOON)


def test_a_tombstone_of_a_link_is_a_deleted_row() -> None:
    row = one_row(a_record(LINKS, None, b"shop/nid1.nid2"))

    assert (row["a"], row["b"], row["deleted"], row["version"]) == ("nid1", "nid2", True, NOON)


@pytest.mark.parametrize("key", [b"", b"shop", b"\xff/x"])
def test_a_tombstone_without_a_name_is_undecodable(key: bytes) -> None:
    with pytest.raises(Undecodable):
        list(rows_of(a_record(STATES, None, key)))


def test_spent_is_placed_less_refunded_less_cancelled() -> None:
    money = {"EUR": CurrencyTotals(placed=1000, refunded=300, cancelled=50)}
    state = CustomerState(
        workspace="shop", customer_id="c", version=1, metrics=Metrics(money=money)
    )

    row = one_row(a_record(STATES, CUSTOMER_STATE.encode(state)))

    assert (row["spent"], row["placed"]) == ([("EUR", 650)], [("EUR", 1000)])


def test_mail_and_phone_are_those_seen_last_and_the_name_is_put_together() -> None:
    def known(value: str, last_seen_at: int) -> KnownIdentifier:
        return KnownIdentifier(
            key=value,
            type="email",
            value=value,
            source="web",
            first_seen_at=1,
            last_seen_at=last_seen_at,
            since=0,
        )

    def trait(value: str) -> Trait:
        return Trait(value=value, source="web", event_id="e", occurred_at=1)

    state = CustomerState(
        workspace="shop",
        customer_id="c",
        version=1,
        identifiers=(known("new@b.example", 9), known("old@b.example", 3)),
        traits={
            "first_name": trait('"Ada"'),
            "lastName": trait('"Lovelace"'),
            "phone": trait('"+44 1"'),
        },
    )

    rows = dict(rows_of(a_record(STATES, CUSTOMER_STATE.encode(state))))
    row = dict(zip(tables.CUSTOMERS.columns.names, rows[tables.CUSTOMERS], strict=True))

    assert (row["email"], row["name"], row["phone"]) == ("new@b.example", "Ada Lovelace", "+44 1")


def test_an_identifier_without_its_value_has_no_row_yet() -> None:
    known = KnownIdentifier(
        key="k", type="email", value=None, source="w", first_seen_at=1, last_seen_at=1, since=0
    )
    state = CustomerState(workspace="shop", customer_id="c", version=1, identifiers=(known,))

    assert [t for t, _ in rows_of(a_record(STATES, CUSTOMER_STATE.encode(state)))] == [
        tables.CUSTOMERS
    ]


@given(traits=st.dictionaries(st.text("ab.", max_size=3), JSON, max_size=5))
def test_traits_are_one_object_with_no_path_twice(traits: dict[str, Any]) -> None:
    """Flat: no objects but in lists, so no two ways to one path."""
    text = json_object((name, json.dumps(value)) for name, value in traits.items())

    pairs: list[list[tuple[str, Any]]] = []

    def keep(members: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs.append(members)
        return dict(members)

    json.loads(text, object_pairs_hook=keep)

    for members in pairs:
        names = [name for name, _ in members]
        assert len(set(names)) == len(names)
        assert not any(isinstance(value, dict) and value for _, value in members)


@given(name=TEXTS, text=st.text(max_size=20))
def test_a_trait_that_is_not_json_is_text(name: str, text: str) -> None:
    found = json.loads(json_object([(name, text)]))

    try:
        json.loads(text)
    except ValueError:
        assert found == {name: text}


def test_personal_columns_are_columns() -> None:
    for table in tables.TABLES:
        assert set(table.personal) <= set(table.names)


def test_no_statement_is_empty_and_each_may_run_again() -> None:
    for statement in tables.statements():
        assert statement.startswith(
            ("CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE VIEW", "ALTER")
        )
