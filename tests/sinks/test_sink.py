"""The promises of the sink, on real Kafka and the real engine."""

from __future__ import annotations

import msgspec
import pytest

from customeros.schemas.customer import (
    CustomerState,
    KnownIdentifier,
    Membership,
    Metrics,
    Status,
    Trait,
)
from customeros.schemas.dead_letter import DeadLetter, Origin
from customeros.schemas.event import Money, Order, OrderAction, OrderLine, Personal
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Assignment
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATES
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.schemas.topics import DEAD_LETTERS, RESOLVED
from support.samples import ACCOUNT
from support.sink import NOON, SinkStack, an_event

pytestmark = pytest.mark.integration


def known(value: str, kind: str = "email", **changes: int) -> KnownIdentifier:
    times = {"first_seen_at": NOON, "last_seen_at": NOON, "since": 0, **changes}
    return KnownIdentifier(key=f"nid-{value}", type=kind, value=value, source="web", **times)


def a_customer(customer_id: str = "c-ada", version: int = NOON, **changes: object) -> CustomerState:
    state = CustomerState(workspace="shop", customer_id=customer_id, version=version)
    return msgspec.structs.replace(state, **changes)


def moved(key: str, customer_id: str, version: int) -> Assignment:
    return Assignment(
        workspace="shop",
        key=key,
        type="email",
        customer_id=customer_id,
        version=version,
        epoch=0,
        cause="e",
    )


def test_an_event_is_there_with_everything_that_it_said(stack: SinkStack) -> None:
    order = Order(
        order_id="o1",
        action=OrderAction.PLACED,
        total=Money(1995, "EUR"),
        lines=(OrderLine(product_id="p1", quantity=2, unit_price=500),),
    )
    personal = Personal(
        identifiers=(Identifier("email", "ada@example.com"),),
        traits={"plan": '"pro"', "age": "36"},
        properties='{"colour": "red"}',
    )

    with stack.sink():
        stack.send(an_event(1, order=order, personal=personal))
        stack.until_rows(
            "SELECT event_id, customer_id, order_id, amount, currency, lines[1].product_id,"
            " traits['plan'], traits['age'], JSONExtractString(properties, 'colour'),"
            " identifiers[1].value, toUnixTimestamp64Milli(occurred_at) FROM events",
            [
                (
                    *("e1", "c-ada", "o1", 1995, "EUR", "p1", "pro", "36", "red"),
                    *("ada@example.com", NOON + 1),
                )
            ],
        )


def test_events_belong_to_the_customer_that_their_identifier_belongs_to_now(
    stack: SinkStack,
) -> None:
    """A merge moves the events that came before it, and an un-merge moves them back."""
    by_customer = "SELECT customer_id, count() FROM events GROUP BY ALL ORDER BY ALL"

    with stack.sink():
        stack.send(an_event(1), an_event(2))
        stack.send(an_event(3, identifier_keys=("nid-bob",)), customer_id="c-bob")
        stack.until_rows(by_customer, [("c-ada", 2), ("c-bob", 1)])

        stack.send(moved("nid-bob", "c-ada", NOON))
        stack.until_rows(by_customer, [("c-ada", 3)])

        stack.send(moved("nid-bob", "c-bob", NOON + 1), moved("nid-bob", "c-ada", NOON))
        stack.until_rows(by_customer, [("c-ada", 2), ("c-bob", 1)])


def test_an_event_that_knows_more_than_the_table_keeps_its_customer(stack: SinkStack) -> None:
    with stack.sink():
        stack.send(moved("nid-ada", "c-old", NOON))
        stack.send(an_event(1), customer_id="c-new", version=NOON + 5)
        stack.until_rows("SELECT customer_id FROM events", [("c-new",)])

        stack.send(moved("nid-ada", "c-new", NOON + 5), moved("nid-ada", "c-newest", NOON + 6))
        stack.until_rows("SELECT customer_id FROM events", [("c-newest",)])


def test_a_customer_has_its_traits_and_metrics_as_columns(stack: SinkStack) -> None:
    trait = Trait(value='"Ada"', source="web", event_id="e", occurred_at=NOON)
    state = a_customer(
        identifiers=(known("ada@example.com"), known("a@b.example", last_seen_at=NOON + 9)),
        traits={"name": trait, "vip.since": msgspec.structs.replace(trait, value="2024")},
        metrics=Metrics(events=3, orders=1, first_seen_at=NOON, last_seen_at=NOON + 1),
    )

    with stack.sink():
        stack.send(state)
        stack.until_rows(
            "SELECT name, email, phone, events, traits.name::String, traits.vip.since::Int64,"
            " metrics.orders::Int64, length(identifiers) FROM customers",
            [("Ada", "a@b.example", "", 3, "Ada", 2024, 1, 2)],
        )


def test_a_trait_of_any_name_and_json_value_reaches_the_table(stack: SinkStack) -> None:
    values = ['{"a":1,"a":2,"b":[{"c":1,"c":2}]}', "1e400", '"\\ud800"', "not json"]
    values += ["[" * 40 + "]" * 40, '"\\u0000"', '{"b":1,"":{".":2}}', "null", '{"b":3}']
    names = ["", ".", "a", "a.b", "é `", 'q"', "a..b", "x" * 300, "b.a"]
    traits = {
        name: Trait(value=value, source="web", event_id="e", occurred_at=NOON)
        for name, value in zip(names, values, strict=True)
    }

    with stack.sink():
        stack.send(a_customer(traits=traits))
        stack.until_rows(
            "SELECT customer_id, traits.a::String FROM customers", [("c-ada", '"\\ud800"')]
        )
        assert stack.ask("SELECT count() FROM dead_letters") == [(0,)]


def test_a_customer_that_is_gone_does_not_come_back(stack: SinkStack) -> None:
    """Neither merged nor erased nor deleted customers show, whatever older version comes late."""
    ids = "SELECT customer_id FROM customers ORDER BY 1"

    with stack.sink():
        stack.send(
            *(a_customer(f"c-{n}", NOON + 5, identifiers=(known(f"{n}"),)) for n in range(4))
        )
        stack.until_rows(ids, [("c-0",), ("c-1",), ("c-2",), ("c-3",)])

        stack.send(a_customer("c-0", NOON + 6, status=Status.MERGED, merged_into="c-3"))
        stack.send(a_customer("c-1", NOON + 6, status=Status.ERASED))
        stack.send_bytes(STATES, b"shop/c-2", None, timestamp=NOON + 6)
        stack.flush()
        stack.until_rows(ids, [("c-3",)])

        stack.send(*(a_customer(f"c-{n}", NOON + 4) for n in range(4)))
        stack.send(a_customer("c-9"))
        stack.until_rows(ids, [("c-3",), ("c-9",)])
        assert stack.ask("SELECT value, customer_id FROM identifiers") == [("3", "c-3")]


def test_an_organisation_is_there_until_it_is_deleted(stack: SinkStack) -> None:
    """Its money by its own state, its members by theirs; a tombstone is the end, too."""
    acme = msgspec.structs.replace(
        ACCOUNT, workspace="shop", version=NOON, subsidiary_count=7, member_count=3
    )
    buyer = Membership(role="buyer", since=NOON, last_seen_at=NOON, source="web", event_id="e1")

    with stack.sink():
        stack.send(acme, a_customer(accounts={"acme": buyer, "globex": buyer}))
        stack.send(
            a_customer("c-eve", accounts={"acme": msgspec.structs.replace(buyer, role=None)})
        )
        stack.until_rows(
            "SELECT account_id, name, parent, subsidiaries, subsidiary_count, member_count,"
            " spent['EUR'], traits.name::String FROM accounts",
            [("acme", "Acme", "acme-group", ["acme-uk"], 7, 3, 1995, "Acme")],
        )
        stack.until_rows(
            "SELECT customer_id, role FROM account_members WHERE account_id = 'acme' ORDER BY 1",
            [("c-ada", "buyer"), ("c-eve", None)],
        )
        stack.send_bytes(ACCOUNT_STATES, b"shop/acme", None, timestamp=NOON + 5)
        stack.send(a_customer(version=NOON + 1))
        stack.until_rows("SELECT count() FROM accounts", [(0,)])
        stack.until_rows("SELECT customer_id FROM account_members", [("c-eve",)])


def test_an_identifier_is_with_the_customer_it_came_to_last(stack: SinkStack) -> None:
    """While it moves both customers say they have it; the newer assignment is right."""
    holder = "SELECT value, customer_id FROM identifiers"

    with stack.sink():
        stack.send(a_customer("c-1", NOON, identifiers=(known("ada"),)))
        stack.until_rows(holder, [("ada", "c-1")])
        stack.send(a_customer("c-2", NOON + 1, identifiers=(known("ada", since=NOON + 1),)))
        stack.until_rows(holder, [("ada", "c-2")])

        stack.send(a_customer("c-1", NOON + 9, identifiers=(known("ada"),)), a_customer("c-9"))
        stack.until_rows("SELECT count() FROM customers", [(3,)])
        assert stack.ask(holder) == [("ada", "c-2")]


def test_what_cannot_be_read_or_inserted_becomes_a_dead_letter(stack: SinkStack) -> None:
    """The rest of the batch is there, and the dead letter says where the record was."""
    evil = an_event(2, name="Evil")

    with stack.sink():
        stack.until_rows("SELECT count() FROM events", [(0,)])
        stack.command("ALTER TABLE events_log ADD CONSTRAINT no_evil CHECK name != 'Evil'")
        stack.send_bytes(RESOLVED, b"shop/c-ada", b"\x00\x00\x00\x1b\x5agarbage")
        stack.send(an_event(1), evil, an_event(3))
        stack.send(an_event(4), version=-1)
        stack.send_bytes(STATES, b"no slash", None)
        stack.send_bytes(DEAD_LETTERS, b"shop/x", b"not even a dead letter")
        stack.until_rows("SELECT event_id FROM events ORDER BY 1", [("e1",), ("e3",)])
        stack.until_rows(
            "SELECT reason, stage, count() FROM dead_letters GROUP BY ALL ORDER BY 1",
            [("row_refused", "sink", 2), ("undecodable", "sink", 2)],
        )
        assert stack.ask(
            "SELECT DISTINCT origin_topic, workspace, origin_offset IS NULL FROM dead_letters"
            " WHERE reason = 'row_refused'"
        ) == [("events.resolved", "shop", False)]
        stack.until_done()


def test_a_dead_letter_of_another_stage_is_there_as_it_came(stack: SinkStack) -> None:
    letter = DeadLetter(
        workspace="shop",
        source="web",
        stage="collector",
        reason="too_large",
        detail="an event has at most 32 KB",
        origin=Origin(),
        failed_at=NOON,
        key=None,
        value=b"\xff{}",
    )

    with stack.sink():
        stack.send(letter)
        stack.until_rows(
            "SELECT reason, stage, origin_topic, origin_offset, hex(value) FROM dead_letters",
            [("too_large", "collector", "", None, "FF7B7D")],
        )


def test_a_version_that_is_not_newer_changes_nothing_however_often_it_comes(
    stack: SinkStack,
) -> None:
    with stack.sink():
        stack.send(a_customer(version=NOON + 2, metrics=Metrics(events=2)))
        stack.send(a_customer(version=NOON + 1, metrics=Metrics(events=1)))
        stack.send(a_customer("c-last"))
        stack.until_rows("SELECT count() FROM customers", [(2,)])
        events = "SELECT events FROM customers WHERE customer_id = 'c-ada'"
        assert stack.ask(events) == [(2,)]
        stack.until_done()
