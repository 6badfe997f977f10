"""A suggestion on the running stack: shown, refused, shown again, accepted."""

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

JON = "user_id:suggested-jon"
JOHN = "email:suggested.john@mail.example"


def _known(stack: WholeStack, who: str) -> str:
    """The id of the customer, once they are known."""
    headers = {"Authorization": f"Bearer {read_secrets(stack.settings).api_token}"}

    def found() -> dict[str, Any]:
        answer = ask(stack.settings.api.port, "GET", f"/v1/customers/{who}", None, headers)
        told: dict[str, Any] = json.loads(answer.body)
        return told

    until(lambda: "customer_id" in found(), seconds=60, every=0.05, what=f"{who} is known")
    return str(found()["customer_id"])


def _ran(stack: WholeStack, *arguments: str) -> str:
    done = stack.run("identity", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _suggested(stack: WholeStack) -> list[set[str]]:
    found = json.loads(_ran(stack, "suggestions", "--fresh", "--json"))["suggestions"]
    return [{one["a"]["customer_id"], one["b"]["customer_id"]} for one in found]


def test_a_suggestion_is_refused_taken_back_and_accepted(shared_stack: WholeStack) -> None:
    stack = shared_stack
    born = {"lastName": "Whitfield-Suggested", "birthday": "1984-07-23"}
    calls = [
        {"userId": "suggested-jon", "traits": {"firstName": "Jon", **born}},
        {
            "anonymousId": "suggested-visit",
            "traits": {"firstName": "John", "email": JOHN.removeprefix("email:"), **born},
        },
    ]
    batch = [
        {"type": "identify", "messageId": f"suggested-{n}", **call} for n, call in enumerate(calls)
    ]
    token = base64.b64encode(f"{stack.write_key}:".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    body = json.dumps({"batch": batch}).encode()
    assert ask(stack.settings.collector.port, "POST", "/v1/batch", body, headers).status == 200
    _known(stack, JON), _known(stack, JOHN)
    stack.rest()
    jon, john = _known(stack, JON), _known(stack, JOHN)
    assert {jon, john} in _suggested(stack)
    refused = _ran(stack, "refuse", jon, JOHN, "--why", "two brothers")

    def shown() -> bool:
        return {jon, john} in _suggested(stack)

    until(lambda: not shown(), seconds=60, every=0.1, what="the refusal")
    again = stack.run("identity", "accept", JON, JOHN, "--why", "a test")
    assert (again.returncode, again.stdout) == (1, "")
    assert f"undo {refused} first" in again.stderr

    assert stack.run("undo", refused).returncode == 0

    until(shown, seconds=60, every=0.1, what="the suggestion again")

    _ran(stack, "accept", JON, john, "--why", "one person after all")

    until(lambda: _known(stack, JON) == _known(stack, JOHN), seconds=60, every=0.05, what="one")
    assert not shown()
    listed = json.loads(_ran(stack, "changes", "--json"))["changes"]
    fates = {one["why"]: one["fate"] for one in listed}
    assert fates["two brothers"] == "undone"
    assert fates["one person after all"] == "in_force"
