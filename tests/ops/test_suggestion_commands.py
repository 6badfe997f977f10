"""`identity suggestions` reads customers as they are and says who may be one person."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from customeros.ops import suggestion_commands
from customeros.ops.cli import app
from customeros.ops.suggestion_commands import suggestions
from customeros.schemas.customer import CustomerState, KnownIdentifier, Status, Trait


def customer(
    name: str, phone: str, *, workspace: str = "default", status: Status = Status.ACTIVE
) -> CustomerState:
    """One who was born when all of them were."""
    given = {"name": name, "birthday": "1984-07-23"}
    return CustomerState(
        workspace=workspace,
        customer_id=f"cus_{name.replace(' ', '').lower()}",
        version=1,
        status=status,
        identifiers=(
            KnownIdentifier(
                key="k", type="phone", value=phone, source="shop",
                first_seen_at=0, last_seen_at=0, since=0,
            ),
        ),
        traits={
            trait: Trait(value=json.dumps(value), source="shop", event_id="e", occurred_at=0)
            for trait, value in given.items()
        },
    )  # fmt: skip


JON = customer("Jon Whitfield", "+447700900123")
JOHN = customer("John Whitfield", "+447700900132")


def test_two_forms_of_one_name_are_suggested() -> None:
    (found,) = suggestions([JON, JOHN])
    assert (found.a, found.b) == (JOHN.customer_id, JON.customer_id)
    assert "same birth date" in found.reasons


def test_nobody_is_suggested_across_workspaces_or_from_the_past() -> None:
    elsewhere = customer("John Whitfield", "+447700900132", workspace="other")
    merged = customer("John Whitfield", "+447700900132", status=Status.MERGED)
    assert list(suggestions([JON, elsewhere, merged])) == []


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_shows_both_customers_and_why(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(suggestion_commands, "read_states", lambda _: [JON, JOHN])
    shown = CliRunner().invoke(app, ["identity", "suggestions", *arguments])
    assert shown.exit_code == 0
    for told in (JON.customer_id, JOHN.customer_id, "same birth date"):
        assert told in shown.stdout
