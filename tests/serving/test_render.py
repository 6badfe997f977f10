"""The JSON form of a customer."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from customeros.schemas.customer import (
    Consent,
    CurrencyTotals,
    CustomerState,
    KnownIdentifier,
    Metrics,
    OpenThing,
    TimelineEntry,
    Touch,
    Trait,
)
from customeros.serving.render import customer, json_value, time_text
from support.customers import NOON, a_state


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
    told = customer(a_state("c1", merged_into="c2"))

    assert set(told) == set(CustomerState.__struct_fields__)
    filled = customer(
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
            metrics=Metrics(money={"EUR": CurrencyTotals(placed=1995)}),
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
        )
    )
    # `since` is a version of the identity graph's, of no use to who asks.
    assert set(filled["identifiers"][0]) == set(KnownIdentifier.__struct_fields__) - {"since"}
    assert set(filled["traits"]["age"]) == set(Trait.__struct_fields__)
    assert set(filled["consent"]["ads"]) == set(Consent.__struct_fields__)
    assert set(filled["metrics"]) == set(Metrics.__struct_fields__)
    assert set(filled["metrics"]["money"]["EUR"]) == set(CurrencyTotals.__struct_fields__)
    assert set(filled["things"][0]) == set(OpenThing.__struct_fields__)
    assert set(filled["timeline"][0]) == set(TimelineEntry.__struct_fields__)
    assert set(filled["first_touch"]) == set(Touch.__struct_fields__)
    assert filled["sets"] == {"products": {"BK-1": "2026-01-01T12:00:00.000Z"}}
