"""The JSON form of a customer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import (
    Consent,
    CurrencyTotals,
    CustomerState,
    KnownIdentifier,
    Metrics,
    OpenThing,
    OrderDay,
    TimelineEntry,
    Touch,
    Trait,
)
from customeros.serving.render import customer, json_value, time_text
from support.customers import NOON, a_state
from support.structs import a_value_of

TODAY = date(2026, 1, 7)


def answered(state: CustomerState, today: date) -> dict[str, Any]:
    """What who asks for *state* reads."""
    answer = msgspec.json.encode(customer(CUSTOMER_STATE.encode(state), today=today))
    found: dict[str, Any] = msgspec.json.decode(answer)
    return found


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_iso_8601_with_milliseconds(milliseconds: int) -> None:
    """From 1970 to the end of 9999, read back to the same millisecond."""
    text = time_text(milliseconds)

    assert len(text) == len("2026-01-01T12:00:00.000Z")
    read = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    assert (read.days * 86_400 + read.seconds) * 1000 + read.microseconds // 1000 == milliseconds


@given(st.from_type(type(None)) | st.booleans() | st.integers() | st.text())
def test_a_trait_is_the_json_value_that_its_text_says(value: object) -> None:
    """A number stays a number."""
    assert json_value(msgspec.json.encode(value).decode()) == value


def test_a_text_that_is_no_json_stands_for_itself() -> None:
    """Nothing a source sends makes a customer unreadable."""
    assert json_value("{") == "{"
    assert json_value("NaN") == "NaN"


def test_every_field_of_a_state_is_told() -> None:
    """A field that is added to the state must be added to its form."""
    told = answered(a_state("c1", merged_into="c2"), TODAY)

    assert set(told) == set(CustomerState.__struct_fields__)
    filled = answered(
        a_state(
            "c1",
            identifiers=(
                KnownIdentifier(
                    key="k",
                    type="email",
                    value=None,
                    source="demo",
                    first_seen_at=NOON,
                    last_seen_at=NOON,
                    since=3,
                ),
            ),
            traits={"age": Trait(value="42", source="demo", event_id="m1", occurred_at=NOON)},
            consent={"ads": Consent(granted=False, source="demo", event_id="m1", occurred_at=NOON)},
            metrics=Metrics(
                money={"EUR": CurrencyTotals(placed=1995)},
                order_days={"2026-01-01": OrderDay(orders=1, placed={"EUR": 1995})},
            ),
            things=(
                OpenThing(
                    kind="order",
                    ref="o1",
                    state="placed",
                    occurred_at=NOON,
                    event_id="m1",
                    amount=1995,
                    currency="EUR",
                ),
            ),
            timeline=(
                TimelineEntry(
                    occurred_at=NOON, event_id="m1", source="demo", family="social", name="Liked"
                ),
            ),
            sets={"products": {"BK-1": NOON}},
            first_touch=Touch(occurred_at=NOON, event_id="m1", source="demo", values={"a": "b"}),
        ),
        TODAY,
    )
    # `since` is a version of the identity graph's, of no use to who asks.
    assert set(filled["identifiers"][0]) == set(KnownIdentifier.__struct_fields__) - {"since"}
    assert set(filled["traits"]["age"]) == set(Trait.__struct_fields__)
    assert set(filled["consent"]["ads"]) == set(Consent.__struct_fields__)
    assert set(filled["metrics"]) == {*Metrics.__struct_fields__, "windows"}
    assert set(filled["metrics"]["order_days"]["2026-01-01"]) == set(OrderDay.__struct_fields__)
    assert set(filled["metrics"]["money"]["EUR"]) == set(CurrencyTotals.__struct_fields__)
    assert set(filled["things"][0]) == set(OpenThing.__struct_fields__)
    assert set(filled["timeline"][0]) == set(TimelineEntry.__struct_fields__)
    assert set(filled["first_touch"]) == set(Touch.__struct_fields__)
    assert filled["sets"] == {"products": {"BK-1": "2026-01-01T12:00:00.000Z"}}


@settings(max_examples=20)  # Drawing one takes longer than all that is tested here.
@given(a_value_of(CustomerState))
def test_a_customer_is_told_as_the_state_says(drawn: CustomerState) -> None:
    """Every value, times in words, JSON as JSON; an amount only where there is one."""
    state = msgspec.convert(_within_reach(msgspec.to_builtins(drawn)), CustomerState)
    expected = _in_words(msgspec.to_builtins(state))
    for one in expected["identifiers"]:
        del one["since"]
    for trait in expected["traits"].values():
        trait["value"] = json_value(trait["value"])
    for thing in expected["things"]:
        if thing["amount"] is None:
            del thing["amount"], thing["currency"]
    for members in expected["sets"].values():
        members |= {member: time_text(at) for member, at in members.items()}
    if state.merged_into is None:
        del expected["merged_into"]

    found = answered(state, TODAY)

    assert set(found["metrics"].pop("windows")) == {"7d", "30d", "90d"}
    assert found == expected


def _within_reach(value: Any) -> Any:
    """Every number so that it may be a time that people write."""
    match value:
        case bool():
            return value
        case int():
            return abs(value) % 253_402_300_800_000
        case dict():
            return {name: _within_reach(part) for name, part in value.items()}
        case list() | tuple():
            return [_within_reach(part) for part in value]
        case _:
            return value


def _in_words(value: Any, name: str = "") -> Any:
    """Every time in words; those of an identifier's `since` are none, but are left out."""
    match value:
        case int() if name == "since" or name.endswith("_at"):
            return time_text(value)
        case dict():
            return {name: _in_words(part, name) for name, part in value.items()}
        case list() | tuple():
            return [_in_words(part) for part in value]
        case _:
            return value


def test_windows_end_today() -> None:
    """The same state tells less each day that nothing happens."""
    state = a_state(
        "c1",
        metrics=Metrics(
            days={"2025-10-10": 5, "2026-01-01": 2, "2026-01-07": 1},
            order_days={
                "2025-10-10": OrderDay(orders=2, placed={"EUR": 10, "JPY": 7}),
                "2026-01-01": OrderDay(orders=1, placed={"EUR": 1995}),
            },
        ),
    )

    def windows(today: date) -> dict[str, object]:
        found: dict[str, object] = answered(state, today)["metrics"]["windows"]
        return found

    week = {"events": 3, "orders": 1, "placed": {"EUR": 1995}}
    quarter = {"events": 8, "orders": 3, "placed": {"EUR": 2005, "JPY": 7}}
    nothing = {"events": 0, "orders": 0, "placed": {}}
    assert windows(TODAY) == {"7d": week, "30d": week, "90d": quarter}
    assert windows(date(2026, 1, 8))["7d"] == {"events": 1, "orders": 0, "placed": {}}
    assert windows(date(2026, 1, 8))["90d"] == week
    assert windows(date(2026, 5, 1))["90d"] == nothing
