"""The view of one customer in a terminal: everything that is known, at any width."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from customeros.ops.customer_view import customer_view
from customeros.ops.state_tables import amount_text
from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Trait
from customeros.serving.render import customer
from support import samples
from support.customers import a_state

_HERE = Path(__file__).parent


def told(state: CustomerState, today: date) -> Any:
    """What the API answers, as its client reads it."""
    return msgspec.to_builtins(customer(CUSTOMER_STATE.encode(state), today=today))


def _shown(found: Any, *, columns: int) -> str:
    screen = io.StringIO()
    Console(file=screen, width=columns).print(customer_view(found))
    return "\n".join(line.rstrip() for line in screen.getvalue().splitlines()) + "\n"


def test_the_view_is_the_golden_one_at_80_columns() -> None:
    """The customer beside it as the API answers, the view as people read it."""
    found = json.loads((_HERE / "customer.json").read_text())

    assert _shown(found, columns=80) == (_HERE / "customer_view.txt").read_text()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_the_api_answers_can_be_shown_at_any_width(columns: int) -> None:
    found = told(samples.STATE, today=date(2026, 1, 2))
    shown = _shown(found, columns=columns)

    assert max(map(len, shown.splitlines())) <= columns
    for title in ("Identifiers", "Traits", "Timeline"):
        assert title in shown
    assert found["customer_id"] in shown


def test_a_customer_of_whom_nothing_is_known_has_a_view() -> None:
    bare = told(a_state("c1"), today=date(2026, 1, 2))

    assert "somebody" in _shown(bare, columns=80)


@pytest.mark.parametrize(
    ("known", "title"),
    [
        ({"firstName": "Ada", "lastName": "King"}, "Ada King"),
        ({"firstName": "Ada", "email": "ada@example.com"}, "Ada"),
        ({"lastName": "King", "email": "ada@example.com"}, "ada@example.com"),
        ({"name": "Countess Lovelace", "firstName": "Ada", "lastName": "King"}, "Countess"),
    ],
)
def test_a_customer_is_called_by_what_is_known_whole(known: dict[str, str], title: str) -> None:
    traits = {
        name: Trait(value=json.dumps(value), source="demo", event_id="e", occurred_at=0)
        for name, value in known.items()
    }
    found = told(a_state("c1", traits=traits), today=date(2026, 1, 2))

    assert f" {title} " in _shown(found, columns=80).splitlines()[0]


def test_what_people_wrote_cannot_steer_the_terminal() -> None:
    """Neither with escapes nor with the markup of the library that draws the view."""
    trait = Trait(
        value='"\\u001b[2J[red]Ada[/nothing]"', source="demo", event_id="e", occurred_at=0
    )
    found = told(a_state("c1", traits={"name": trait}), today=date(2026, 1, 2))
    shown = _shown(found, columns=80)

    assert r"\x1b[2J[red]Ada[/nothing]" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (3995, "EUR", "39.95"),
        (-5, "EUR", "-0.05"),
        (123_456_789, "EUR", "1,234,567.89"),
        (500, "JPY", "500"),
        (1_500, "KWD", "1.500"),
        (0, "EUR", "0.00"),
    ],
)
def test_money_is_written_as_people_write_it(amount: int, currency: str, text: str) -> None:
    assert amount_text(amount, currency) == text
