"""What a call says, in all the ways that clients say it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from customeros.connectors.segment.families import family_of
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import (
    ConsentDecision,
    Direction,
    Event,
    Message,
    Money,
    OrderAction,
    OrderLine,
)
from customeros.schemas.identifier import IdentifierRules
from customeros.schemas.topics import event_key
from support.collecting import an_interpreter, outcomes_of


def _call(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Tested", "userId": "u1", "messageId": "m1", **fields}


def _outcome(call: Any, **interpreter: Any) -> Event | DeadLetter:
    body = json.dumps({"batch": [call]}).encode()
    (found,) = outcomes_of(body, interpreter=an_interpreter(**interpreter))
    return found


def _event(call: dict[str, Any], **interpreter: Any) -> Event:
    found = _outcome(call, **interpreter)
    assert isinstance(found, Event), found
    return found


def _identifiers(call: dict[str, Any], **interpreter: Any) -> list[str]:
    personal = _event(call, **interpreter).personal
    assert personal is not None
    return [str(identifier) for identifier in personal.identifiers]


def _reason(call: Any) -> str:
    found = _outcome(call)
    assert isinstance(found, DeadLetter), found
    return found.reason


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Order Completed", "transactional"),
        ("order_refunded", "transactional"),
        ("OrderCancelled", "transactional"),
        ("Order Canceled", "transactional"),
        ("Order Updated", "transactional"),
        ("Order Viewed", "behavioral"),
        ("Payment Failed", "transactional"),
        ("Subscription Renewed", "transactional"),
        ("Checkout Started", "behavioral"),
        ("Coupon Applied", "behavioral"),
        ("Product Viewed", "behavioral"),
        ("Product Added", "behavioral"),
        ("Message Sent", "conversational"),
        ("Ticket Commented", "conversational"),
        ("Email Opened", "conversational"),
        ("Chat Started", "conversational"),
        ("Conversation Closed", "conversational"),
        ("Product Shared", "social"),
        ("Product Reviewed", "social"),
        ("Followed", "social"),
        ("User Mentioned", "social"),
        ("Signed Up", "behavioral"),
        ("注文", "behavioral"),
        ("!!!", "behavioral"),
    ],
)
def test_the_name_of_an_event_tells_its_family(name: str, family: str) -> None:
    assert family_of(name) == family


def test_a_family_that_the_call_names_wins() -> None:
    assert _event(_call(context={"family": "social"})).family == "social"
    assert _event(_call(context={"family": "unheard of"})).family == "behavioral"
    assert _event(_call(context={"family": ["social"]})).family == "behavioral"


def test_identifiers_come_from_everywhere_they_are_said_the_strongest_first() -> None:
    call = _call(
        type="identify",
        userId=42,
        anonymousId="a1",
        traits={"email": "ADA@Example.com ", "whatsapp_id": "447700900815"},
        context={
            "traits": {"phone": "+44 7700 900815", "email": "other@example.com"},
            "device": {"id": "d1"},
            "externalIds": [
                {"type": "stripe:acct_1", "id": "cus_9"},
                {"type": "Not A Type", "id": "x"},
                {"id": "x"},
                "x",
            ],
        },
    )

    assert _identifiers(call) == [
        "user_id:42",
        "stripe:acct_1:cus_9",
        "email:ada@example.com",
        "phone:+447700900815",
        "whatsapp_id:447700900815",
        "anonymous_id:a1",
        "device_id:d1",
    ]


def test_top_level_traits_win_over_those_in_the_context() -> None:
    call = _call(
        type="identify", traits={"plan": "pro"}, context={"traits": {"plan": "free", "age": 7}}
    )
    personal = _event(call).personal

    assert personal is not None
    assert personal.traits == {"plan": '"pro"', "age": "7"}


def test_nothing_values_and_blocked_values_are_no_identifiers() -> None:
    """Null, empty, `[object Object]` and other types name nobody."""
    for nobody in (None, "", "  ", "null", "[object Object]", True, [1], {"id": 1}, "x" * 600, 1.5):
        assert _identifiers(_call(userId=nobody, anonymousId="a1")) == ["anonymous_id:a1"]
        assert _reason(_call(userId=nobody)) == "no_identifier"


def test_an_alias_links_the_previous_id_as_an_anonymous_one() -> None:
    call = _call(type="alias", userId="u1", previousId="a1")

    assert _identifiers(call) == ["user_id:u1", "anonymous_id:a1"]
    assert _identifiers({**call, "previousId": "u1"}) == ["user_id:u1"]


def test_an_email_in_the_properties_counts_for_track_but_not_for_page() -> None:
    said = {"email": "ada@example.com"}

    assert _identifiers(_call(properties=said)) == ["user_id:u1", "email:ada@example.com"]
    assert _identifiers(_call(type="page", properties=said)) == ["user_id:u1"]


def test_the_traits_of_a_group_are_the_organisations() -> None:
    """Its mail address is nobody's identifier, its name nobody's name."""
    call = _call(type="group", groupId=9, traits={"name": "AE", "email": "info@ae.example"})
    event = _event(call)

    assert event.account_id == "9"
    assert event.personal is not None
    assert event.personal.traits == {}
    assert json.loads(event.personal.properties) == {"name": "AE", "email": "info@ae.example"}
    assert _identifiers(call) == ["user_id:u1"]


def test_an_organisation_may_be_told_of_without_anybody() -> None:
    """What its own systems send of it: traits by a group call, orders by a track call."""
    group = {"type": "group", "groupId": "acme", "traits": {"name": "Acme"}}
    order = _call(userId=None, event="Order Completed", properties={"group_id": "acme"})

    for call in (group, order):
        event = _event(call)
        assert (event.identifier_keys, event.account_id) == ((), "acme")
        assert event_key(event) == b"default/acme"
    assert _reason({"type": "group", "traits": {"name": "Acme"}}) == "no_identifier"
    assert _reason({"type": "page", "context": {"groupId": "acme"}}) == "no_identifier"


def test_the_organisation_of_an_event_is_in_its_context_or_a_track_s_properties() -> None:
    of_page = _call(type="page", properties={"groupId": "acme"}, context={"groupId": "globex"})

    assert _event(of_page).account_id == "globex"
    assert _event(_call(properties={"groupId": 7})).account_id == "7"
    assert _event(_call(properties={"account_id": "ada-s-log-in"})).account_id is None


def test_phone_numbers_without_a_country_need_the_workspace_s() -> None:
    call = _call(traits={"phone": "020 7946 0018"})

    assert _identifiers(call) == ["user_id:u1"]
    assert _identifiers(call, rules=IdentifierRules(default_region="GB")) == [
        "user_id:u1",
        "phone:+442079460018",
    ]


def test_an_order_is_read_from_the_decimal_text() -> None:
    """0.1 + 0.2 and its like never pass through a float."""
    call = _call(
        event="Order Completed",
        properties={
            "orderId": 7,
            "total": "29.85",
            "revenue": 1,
            "currency": "eur",
            "products": [
                {"product_id": "p1", "price": "9.95", "quantity": "3", "name": "Tea"},
                {"sku": "s2", "quantity": -1},
                {"id": 5, "price": 0.295},
                {"name": "nameless"},
                "nothing",
            ],
        },
    )

    order = _event(call).order

    assert order is not None
    assert (order.order_id, order.action) == ("7", OrderAction.PLACED)
    assert order.total == Money(2985, "EUR")
    assert order.lines == (
        OrderLine(product_id="p1", name="Tea", quantity=3, unit_price=995),
        OrderLine(product_id="s2", sku="s2", quantity=1),
        OrderLine(product_id="5", quantity=1, unit_price=30),
    )


def test_money_keeps_the_digits_of_the_json() -> None:
    raw = b'{"batch":[{"type":"track","event":"Order Completed","userId":"u","properties":'
    raw += b'{"total":1.005000000000000000001,"currency":"USD","order_id":"o"}}]}'

    (event,) = outcomes_of(raw)

    assert isinstance(event, Event)
    assert event.order is not None
    assert event.order.total == Money(101, "USD")
    assert event.personal is not None
    assert "1.005000000000000000001" in event.personal.properties


@pytest.mark.parametrize(
    ("properties", "default", "expected"),
    [
        ({"total": 5, "currency": "JPY"}, None, Money(5, "JPY")),
        ({"total": 5}, "USD", Money(500, "USD")),
        ({"value": 5}, "USD", Money(500, "USD")),
        ({"total": None, "revenue": 5}, "USD", Money(500, "USD")),
        ({"total": 5}, None, None),
        ({"total": 5, "currency": "GOLD"}, "USD", None),
        ({"total": "five", "currency": "USD"}, None, None),
        ({"currency": "USD"}, None, None),
        ({}, None, None),
    ],
)
def test_an_order_without_amount_or_currency_is_none(
    properties: dict[str, Any], default: str | None, expected: Money | None
) -> None:
    """A currency that is wrong is not replaced by the default; the properties keep it all."""
    event = _event(_call(event="Order Completed", properties=properties), default_currency=default)

    assert (event.order and event.order.total) == expected
    assert event.personal is not None
    assert json.loads(event.personal.properties) == properties
    if event.order:
        assert event.order.order_id == event.event_id == "m1"


def test_what_is_paid_back_is_positive_however_it_is_written() -> None:
    for total in (5, -5):
        call = _call(event="Order Refunded", properties={"total": total, "currency": "USD"})
        order = _event(call).order
        assert order is not None
        assert (order.action, order.total) == (OrderAction.REFUNDED, Money(500, "USD"))


def test_a_message_has_its_personal_part_apart() -> None:
    call = _call(
        event="Message Sent",
        properties={
            "channel": "whatsapp",
            "thread_id": 12,
            "direction": "Outbound",
            "author": "Grace",
            "body": "Hello",
        },
    )
    event = _event(call)

    assert event.message == Message(
        channel="whatsapp", direction=Direction.OUTBOUND, conversation_id="12"
    )
    assert event.personal is not None
    assert (event.personal.author, event.personal.text) == ("Grace", "Hello")


def test_a_message_without_a_conversation_belongs_to_one_of_its_writer() -> None:
    event = _event(_call(event="Chat Message", properties={"text": "Hello", "direction": 1}))

    assert event.message == Message(
        channel="chat", direction=Direction.INBOUND, conversation_id=event.identifier_keys[0]
    )


def test_a_conversational_event_without_text_or_conversation_is_no_message() -> None:
    assert _event(_call(event="Email Opened", properties={"subject": "News"})).message is None
    assert _event(_call(event="Tested", properties={"text": "no chat"})).message is None


def test_consent_is_read_by_purpose_and_what_is_unreadable_is_a_no() -> None:
    said = {"newsletter": True, "ads": False, "profiling": "yes", "": True}
    event = _event(_call(context={"consent": {"categoryPreferences": said}}))

    assert event.consent == (
        ConsentDecision("ads", False),
        ConsentDecision("newsletter", True),
        ConsentDecision("profiling", False),
    )
    nothings: list[Any] = [None, [], {"categoryPreferences": None}, {"categoryPreferences": [True]}]
    for nothing in nothings:
        assert _event(_call(context={"consent": nothing})).consent == ()


def test_the_context_of_a_batch_is_its_calls_but_for_what_they_say_themselves() -> None:
    body = {
        "context": {"ip": "203.0.113.7", "locale": "en"},
        "batch": [_call(context={"locale": "fr"})],
    }

    (event,) = outcomes_of(json.dumps(body).encode())

    assert isinstance(event, Event)
    assert event.personal is not None
    assert json.loads(event.personal.context) == {"ip": "203.0.113.7", "locale": "fr"}


def test_an_event_without_an_id_gets_one_that_no_other_has() -> None:
    call = {"type": "track", "event": "Tested", "userId": "u1", "messageId": None}
    first, second = outcomes_of(json.dumps({"batch": [call, call]}).encode())

    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.event_id, second.event_id) == ("request-0", "request-1")


def test_the_path_says_the_type_of_a_single_call() -> None:
    body = b'{"userId":"u1","type":"track","name":"Home"}'
    (event,) = outcomes_of(body, "page")

    assert isinstance(event, Event)
    assert (event.kind, event.name) == ("page", "Page Viewed")
    assert event.personal is not None
    assert msgspec.json.decode(event.personal.properties) == {"name": "Home"}
