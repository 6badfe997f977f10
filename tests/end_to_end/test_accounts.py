"""An organisation on the running stack: joined, merged, split, left, closed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from customeros.runtime.secrets import read_secrets
from support.collecting import ask
from support.waiting import until
from support.whole_stack import WholeStack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ACME, GROUP = "acme-e2e", "acme-group/e2e"
ADA, MAIL = "user_id:ada-of-acme", "email:ada@acme.example"
JOINED = "2026-01-01T12:00:00Z"


def _send(stack: WholeStack, *calls: dict[str, Any]) -> None:
    token = base64.b64encode(f"{stack.write_key}:".encode()).decode()
    body = json.dumps({"batch": [{"timestamp": JOINED, **call} for call in calls]}).encode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    assert ask(stack.settings.collector.port, "POST", "/v1/batch", body, headers).status == 200


def _asked(stack: WholeStack, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {read_secrets(stack.settings).api_token}"}
    answer = ask(stack.settings.api.port, "GET", f"/v1/{path}", None, headers)
    found: dict[str, Any] = json.loads(answer.body)
    return found


def _soon(stack: WholeStack, path: str, what: str, expected: Any) -> dict[str, Any]:
    """The answer, once it says of *what* what is expected."""
    until(
        lambda: _asked(stack, path).get(what) == expected,
        seconds=60,
        every=0.05,
        what=f"{what} of {path} is {expected}",
    )
    return _asked(stack, path)


def test_an_organisation_follows_its_people(shared_stack: WholeStack) -> None:
    """Two members are one once they are one customer, and two again after a split."""
    stack = shared_stack
    order = {"order_id": "acme-1", "total": "19.95", "currency": "EUR", "groupId": ACME}
    _send(
        stack,
        {
            "type": "group",
            "messageId": "acme-crm",
            "groupId": ACME,
            "traits": {"name": "Acme", "parent_id": GROUP},
        },
        {"type": "group", "messageId": "acme-ada", "groupId": ACME, "userId": "ada-of-acme"},
        {
            "type": "group",
            "messageId": "acme-mail",
            "groupId": ACME,
            "context": {"traits": {"email": "ada@acme.example"}},
            "traits": {"role": "buyer"},
        },
        {
            "type": "track",
            "event": "Order Completed",
            "messageId": "acme-order",
            "userId": "ada-of-acme",
            "properties": order,
        },
    )
    until(
        lambda: _asked(stack, f"accounts/{ACME}").get("metrics", {}).get("events") == 4,
        seconds=60,
        every=0.05,
        what="the organisation has heard of all",
    )
    before = _asked(stack, f"accounts/{ACME}")
    assert before["member_count"] == 2
    _soon(stack, f"accounts/{GROUP.replace('/', '%2F')}", "subsidiaries", [ACME])

    joined = stack.run("join", ADA, MAIL, "--why", "the same Ada")
    assert joined.returncode == 0, joined.stderr
    one = _soon(stack, f"accounts/{ACME}", "member_count", 1)
    assert stack.run("undo", joined.stdout.split()[-1]).returncode == 0
    again = _soon(stack, f"accounts/{ACME}", "member_count", 2)

    assert one["metrics"] == before["metrics"]
    assert one["members"][0]["role"] == "buyer"
    assert {**again, "version": 0} == {**before, "version": 0}
    mine = _asked(stack, f"customers/{MAIL}")
    assert mine["accounts"][ACME]["role"] == "buyer"

    left = {"context": {"traits": {"email": "ada@acme.example"}, "groupId": ACME}}
    _send(
        stack,
        {"type": "track", "event": "Account Removed User", "messageId": "acme-left", **left}
        | {"timestamp": "2026-01-02T12:00:00Z"},
    )
    _soon(stack, f"accounts/{ACME}", "member_count", 1)
    _soon(stack, f"customers/{MAIL}", "accounts", {})
    until(
        lambda: (
            stack.query(
                "SELECT name, parent, spent['EUR'], member_count FROM accounts"
                " WHERE account_id = 'acme-e2e'"
            )
            == [("Acme", GROUP, 1995, 1)]
        ),
        seconds=60,
        every=0.1,
        what="ClickHouse has the organisation",
    )
    hers = _asked(stack, f"customers/{ADA}")["customer_id"]
    until(
        lambda: (
            [m["customer_id"] for m in _asked(stack, f"accounts/{ACME}/members")["members"]]
            == [hers]
        ),
        seconds=60,
        every=0.1,
        what="and who belongs to it",
    )
    shown = stack.run("account", "show", ACME)
    assert (shown.returncode, "belongs to acme-group/e2e" in shown.stdout) == (0, True)

    _send(
        stack,
        {"type": "track", "event": "Account Deleted", "messageId": "acme-gone"}
        | {"timestamp": "2026-01-03T12:00:00Z", "context": {"groupId": ACME}},
    )
    until(
        lambda: _asked(stack, f"accounts/{ACME}").get("error", {}).get("code") == "deleted",
        seconds=60,
        every=0.05,
        what="the organisation is deleted",
    )
    gone = stack.run("account", "show", ACME)
    assert gone.stderr == "customeros: this organisation was deleted\n"
    # Of the parent nothing but its subsidiary was known.
    nothing = {"code": "unknown_account", "message": "no organisation is known by this"}
    _soon(stack, f"accounts/{GROUP.replace('/', '%2F')}", "error", nothing)
