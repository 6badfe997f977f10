"""What is inserted, given up on and committed, against a target that refuses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.errors import Unavailable
from customeros.schemas.codec import CUSTOMER_STATE, DEAD_LETTER
from customeros.schemas.customer import CustomerState, KnownIdentifier
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.schemas.topics import DEAD_LETTERS, RESOLVED
from customeros.sinks.clickhouse.buffer import Buffer, letter_of, may_be_dead_lettered
from customeros.sinks.clickhouse.inserts import Pending, block_token, insert_what_fits
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.tables import CUSTOMERS, EVENTS, IDENTIFIERS, Table
from support.batches import FakeTarget, a_record
from support.sink import NOON


def pending(offset: int, *, partition: int = 0) -> Pending:
    return Pending((), a_record(offset, partition=partition))


@given(count=st.integers(1, 40), refused=st.frozensets(st.integers(0, 40), max_size=6))
def test_all_rows_but_the_refused_are_inserted_once_and_in_order(
    count: int, refused: frozenset[int]
) -> None:
    target = FakeTarget(refused)

    given_up = insert_what_fits(target, EVENTS, [pending(n) for n in range(count)])

    assert [record.offset for record in given_up] == sorted(refused & set(range(count)))
    assert target.inserted == [n for n in range(count) if n not in refused]


def test_what_could_not_be_inserted_stays_until_it_can() -> None:
    buffer, target = Buffer(), FakeTarget(away=2)
    for offset in range(3):
        buffer.add(a_record(offset))

    for _ in range(2):
        with pytest.raises(Unavailable):
            buffer.write(target)
    written = buffer.write(target)

    assert written == {EVENTS: 3}
    assert target.inserted == [0, 1, 2]
    assert (buffer.refused, buffer.positions) == ({}, {(RESOLVED, 0): 3})
    assert buffer.write(target) == {}


def test_identifiers_wait_until_their_customers_are_in() -> None:
    buffer, inserted = Buffer(), list[Table]()
    times = {"first_seen_at": NOON, "last_seen_at": NOON, "since": 0}
    known = KnownIdentifier(key="n", type="email", value="a@x.de", source="web", **times)
    state = CustomerState(workspace="shop", customer_id="c", version=NOON, identifiers=(known,))
    buffer.add(Record(STATES, 0, 0, b"shop/c", CUSTOMER_STATE.encode(state), NOON))

    class CustomersAway(FakeTarget):
        def insert(self, table: Table, rows: Sequence[Pending]) -> None:
            if table is CUSTOMERS:
                super().insert(table, rows)
            inserted.append(table)

    with pytest.raises(Unavailable):
        buffer.write(CustomersAway(away=1))
    assert inserted == []

    buffer.write(CustomersAway())
    assert inserted == [CUSTOMERS, IDENTIFIERS]


def a_state(offset: int, *, version: int = 0, name: str = "c", garbage: bool = False) -> Record:
    state = CustomerState(workspace="shop", customer_id=name, version=version or NOON + offset)
    value = CUSTOMER_STATE.encode(state) + (b"garbage" if garbage else b"")
    return Record(STATES, 0, offset, f"shop/{name}".encode(), value, NOON + offset)


def test_of_the_states_that_wait_together_the_newest_is_inserted() -> None:
    """By version, whatever came last; a tombstone is as old as itself."""
    buffer, target = Buffer(), FakeTarget()
    for record in (a_state(0), a_state(1, name="d"), a_state(2), a_state(3, version=NOON + 1)):
        buffer.add(record)
    buffer.add(a_state(4, name="gone"))
    buffer.add(a_state(5, name="gone")._replace(value=None))

    buffer.write(target)

    assert sorted(target.inserted) == [1, 2, 5]
    assert (buffer.refused, buffer.positions) == ({}, {(STATES, 0): 6})


def test_a_state_that_cannot_be_read_does_not_hide_the_one_before() -> None:
    buffer, target = Buffer(), FakeTarget()
    for record in (a_state(0), a_state(1), a_state(2, garbage=True)):
        buffer.add(record)

    buffer.write(target)

    assert target.inserted == [1]
    assert [record.offset for record in buffer.refused] == [2]


def test_refused_and_unreadable_records_are_given_up_and_passed() -> None:
    buffer = Buffer()
    bad = a_record(1, value=b"garbage")
    for record in (a_record(0), bad, a_record(2)):
        buffer.add(record)

    buffer.write(FakeTarget(frozenset({2})))

    assert {record.offset: reason for record, reason in buffer.refused.items()} == {
        1: "undecodable",
        2: "row_refused",
    }
    assert buffer.positions == {(RESOLVED, 0): 3}


def test_of_a_partition_that_was_lost_nothing_is_inserted_or_committed() -> None:
    buffer, target = Buffer(), FakeTarget()
    buffer.add(a_record(5, partition=0))
    buffer.add(a_record(6, partition=0, value=b"garbage"))
    buffer.add(a_record(9, partition=1))

    buffer.drop([(RESOLVED, 0)])
    buffer.write(target)

    assert target.inserted == [9]
    assert (buffer.refused, buffer.positions) == ({}, {(RESOLVED, 1): 10})


def test_the_end_of_a_partition_is_done_when_all_before_it_is() -> None:
    buffer = Buffer()
    buffer.add(a_record(5))

    buffer.move_to((RESOLVED, 0), 8)

    assert buffer.positions == {(RESOLVED, 0): 8}


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), min_size=1, unique=True),
        min_size=2,
        max_size=4,
    )
)
def test_blocks_have_one_name_only_if_they_are_of_the_same_records(
    blocks: list[list[tuple[int, int]]],
) -> None:
    """Of records in the order of a topic, each partition's one after the other."""
    for one, other in pairwise(blocks):
        rows = [[pending(o, partition=p) for p, o in sorted(block)] for block in (one, other)]
        spans = [
            {
                p: [min(own), max(own), len(own)]
                for p in (0, 1)
                if (own := [o for q, o in block if q == p])
            }
            for block in (one, other)
        ]

        same = block_token(EVENTS, rows[0]) == block_token(EVENTS, rows[1])

        assert same == (spans[0] == spans[1])


def test_a_topic_made_anew_is_not_taken_for_the_old_one() -> None:
    old = [pending(0)]
    new = [Pending((), old[0].record._replace(timestamp=NOON + 99))]

    assert block_token(EVENTS, old) != block_token(EVENTS, new)


def test_a_dead_letter_tells_where_the_record_was() -> None:
    letter = DEAD_LETTER.decode(
        letter_of(a_record(7, value=b"garbage"), "undecodable", now=NOON).value or b""
    )

    assert (letter.workspace, letter.stage, letter.value) == ("shop", "sink", b"garbage")
    assert (letter.origin.topic, letter.origin.offset) == ("events.resolved", 7)


def test_a_dead_letter_has_none_of_its_own() -> None:
    assert may_be_dead_lettered(a_record(1))
    assert not may_be_dead_lettered(a_record(1)._replace(topic=DEAD_LETTERS))
