"""The view of one organisation in a terminal."""

from __future__ import annotations

import io
from datetime import date

import msgspec
import pytest
from rich.console import Console

from customeros.ops.account_view import account_view
from customeros.schemas.account import AccountState
from customeros.schemas.codec import ACCOUNT_STATE
from customeros.serving.render import account
from support import samples

TODAY = date(2026, 1, 2)


def _shown(state: AccountState, *, columns: int) -> str:
    screen = io.StringIO()
    view = account_view(msgspec.to_builtins(account(ACCOUNT_STATE.encode(state), today=TODAY)))
    Console(file=screen, width=columns).print(view)
    return screen.getvalue()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_the_api_answers_can_be_shown_at_any_width(columns: int) -> None:
    shown = _shown(samples.ACCOUNT, columns=columns)

    assert max(map(len, shown.splitlines())) <= columns
    for title in ("Members", "Traits", "Money", "Timeline"):
        assert title in shown
    assert "belongs to acme-group" in shown


def test_of_many_the_last_seen_are_shown_and_the_others_counted() -> None:
    state = msgspec.structs.replace(
        samples.ACCOUNT,
        members=samples.ACCOUNT.members * 100,
        member_count=1_234,
        subsidiary_count=51,
    )
    shown = _shown(state, columns=80)

    assert "1,234 members" in shown
    assert "and 1,219 more" in shown
    assert "has acme-uk and 50 more" in shown


def test_an_organisation_of_which_only_a_child_is_known_has_a_view() -> None:
    bare = AccountState(
        workspace="w", account_id="hq", version=1, subsidiaries=("acme",), subsidiary_count=1
    )

    assert "0 members" in _shown(bare, columns=80)
