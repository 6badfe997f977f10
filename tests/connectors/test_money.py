"""Amounts become minor units exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.connectors.segment.money import currency_code, minor_units


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (Decimal("39.95"), "EUR", 3995),
        ("39.95", "EUR", 3995),
        (" 39.95 ", "EUR", 3995),
        (40, "EUR", 4000),
        (Decimal("1500"), "JPY", 1500),
        (Decimal("1.234"), "KWD", 1234),
        (Decimal("-5.5"), "USD", -550),
        (Decimal("4E+2"), "USD", 40000),
        # halves go to the even neighbour
        (Decimal("0.005"), "USD", 0),
        (Decimal("0.015"), "USD", 2),
        (Decimal("0.025"), "USD", 2),
        (Decimal("2.5"), "JPY", 2),
        # which no float could tell from a half
        ("1.00500000000000000000001", "USD", 101),
        (Decimal("1E-400"), "USD", 0),
    ],
)
def test_an_amount_becomes_minor_units(amount: object, currency: str, expected: int) -> None:
    assert minor_units(amount, currency) == expected


@pytest.mark.parametrize(
    "amount",
    [None, True, "", "free", "1,234.50", "1_000", "NaN", "Infinity", "1e5", "٣", [1], {}, 10**14],
)
def test_what_is_no_amount_is_none(amount: object) -> None:
    """Thousands separators are not guessed at; beyond 10^14 nothing is an amount."""
    assert minor_units(amount, "EUR") is None


def test_a_currency_is_an_active_code_in_any_case() -> None:
    assert currency_code(" eur ") == "EUR"
    assert [currency_code(value) for value in ("EURO", "€", "XXX", "", None, 978)] == [None] * 6


@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_every_amount_that_can_be_written_is_exact(minor: int, currency: str) -> None:
    """Whatever the currency's number of decimals, as number or as text."""
    digits = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}[currency]
    amount = Decimal(minor).scaleb(-digits)
    if amount.adjusted() < 14:
        assert minor_units(amount, currency) == minor
        assert minor_units(f"{amount:f}", currency) == minor
