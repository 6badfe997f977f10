"""Why, split, join and undo on the running stack: at once in states, ClickHouse and reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from customeros.runtime.ending import EXIT_MISCONFIGURED
from customeros.runtime.secrets import read_secrets
from support.collecting import Reply, ask
from support.waiting import until
from support.whole_stack import WholeStack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_ARRIVAL_SECONDS = 60
_SOME = "name some of the customer's identifiers: not none, not all"
_OTHERS = "an identifier that is named is not the customer's"
_NOBODY = "nobody is known by this"
_TOO_MANY = "one customer would have more user_id than the rules allow"


@pytest.fixture
def stack(shared_stack: WholeStack) -> WholeStack:
    """Others use it too: whoever is named here is named `who-…`."""
    return shared_stack


def _send(stack: WholeStack, *calls: dict[str, Any]) -> None:
    token = base64.b64encode(f"{stack.write_key}:".encode()).decode()
    body = json.dumps({"batch": calls}).encode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    assert ask(stack.settings.collector.port, "POST", "/v1/batch", body, headers).status == 200


def _order(user: str, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": user,
        "messageId": f"{user}-{number}",
        "timestamp": f"2026-03-03T12:00:0{number}.000Z",
        "properties": {"order_id": f"{user}-{number}", "total": 10, "currency": "EUR"},
        **fields,
    }


def _read(stack: WholeStack, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {read_secrets(stack.settings).api_token}"}
    found: dict[str, Any] = json.loads(
        ask(stack.settings.api.port, "GET", f"/v1/{path}", None, headers).body
    )
    return found


def _ordered(stack: WholeStack, what: str, order: dict[str, Any]) -> Reply:
    headers = {"Authorization": f"Bearer {read_secrets(stack.settings).api_token}"}
    body = json.dumps({**order, "why": "a test"}).encode()
    return ask(stack.settings.api.port, "POST", f"/v1/identity/{what}", body, headers)


def _as_order(what: str, who: str, named: list[str]) -> dict[str, Any]:
    if what == "split":
        return {"customer": who, "identifiers": named}
    return {"a": who, "b": named[0]}


def _customer(stack: WholeStack, who: str) -> dict[str, Any]:
    return _read(stack, f"customers/{who}")


def _known(stack: WholeStack, who: str, orders: int) -> dict[str, Any]:
    def there() -> bool:
        found = _customer(stack, who)
        return "metrics" in found and bool(found["metrics"]["orders"] == orders)

    until(there, seconds=_ARRIVAL_SECONDS, every=0.05, what=f"{who} has {orders} orders")
    return _customer(stack, who)


def _at_rest(stack: WholeStack, who: str, orders: int) -> dict[str, Any]:
    """Once nothing is under way."""
    _known(stack, who, orders)
    stack.rest()
    return _known(stack, who, orders)


def _owners(stack: WholeStack, *events: str) -> set[str]:
    names = ", ".join(f"'{event}'" for event in events)
    rows = stack.query(f"SELECT DISTINCT customer_id FROM events WHERE event_id IN ({names})")  # noqa: S608
    return {str(owner) for (owner,) in rows}


def _ran(stack: WholeStack, *arguments: str) -> str:
    done = stack.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_join_is_told_shown_and_undone_without_a_trace(stack: WholeStack) -> None:
    """Money, history and digest go back to whom they belong."""
    _send(
        stack,
        _order("who-ada", 1),
        {**_order("who-x", 2), "userId": None, "anonymousId": "who-tablet"},
    )
    ada, tablet = _known(stack, "user_id:who-ada", 1), _known(stack, "anonymous_id:who-tablet", 1)

    change = _ran(
        stack, "join", "user_id:who-ada", "anonymous_id:who-tablet", "--why", "her tablet"
    )
    both = _known(stack, "user_id:who-ada", 2)
    until(lambda: len(_owners(stack, "who-ada-1", "who-x-2")) == 1, every=0.05, what="one owner")
    assert both["metrics"]["money"]["EUR"]["placed"] == 2000
    assert "joined by" in _ran(stack, "why", "user_id:who-ada", "anonymous_id:who-tablet")
    assert _customer(stack, "anonymous_id:who-tablet")["customer_id"] == both["customer_id"]
    made = json.loads(_ran(stack, "identity", "changes", "--json"))["changes"]
    assert (change, "her tablet", True) in [
        (one["change_id"], one["why"], one["on"]) for one in made
    ]

    _ran(stack, "undo", change)

    assert _known(stack, "user_id:who-ada", 1)["digest"] == ada["digest"]
    assert _known(stack, "anonymous_id:who-tablet", 1)["digest"] == tablet["digest"]
    until(lambda: len(_owners(stack, "who-ada-1", "who-x-2")) == 2, every=0.05, what="two owners")


def test_a_split_gives_everybody_their_own_and_survives_a_restart(stack: WholeStack) -> None:
    both = {"userId": "who-eve", "anonymousId": "who-kiosk"}
    _send(
        stack,
        {**_order("who-k", 1), "userId": None, "anonymousId": "who-kiosk"},
        _order("who-eve", 2),
    )
    kiosk = _known(stack, "anonymous_id:who-kiosk", 1)
    _known(stack, "user_id:who-eve", 1)
    _send(stack, {**_order("who-eve", 3), **both})
    _known(stack, "user_id:who-eve", 3)
    assert "both on order who-eve-3" in _ran(
        stack, "why", "user_id:who-eve", "anonymous_id:who-kiosk"
    )

    change = _ran(
        stack, "split", "user_id:who-eve", "anonymous_id:who-kiosk", "--why", "a shop's kiosk"
    )

    assert _known(stack, "anonymous_id:who-kiosk", 1)["digest"] == kiosk["digest"]
    assert _known(stack, "user_id:who-eve", 2)["metrics"]["money"]["EUR"]["placed"] == 2000
    assert stack.kill("graph")
    until(lambda: stack.pid("graph") is not None, seconds=120, every=0.2, what="graph is back")
    _send(stack, {**_order("who-eve", 4), **both})
    assert _known(stack, "user_id:who-eve", 3)["metrics"]["orders"] == 3
    assert _known(stack, "anonymous_id:who-kiosk", 1)["digest"] == kiosk["digest"]
    apart = _ran(stack, "why", "user_id:who-eve", "anonymous_id:who-kiosk")
    assert f"customeros undo {change}" in apart


def test_wrong_input_is_refused_in_one_sentence_and_changes_nothing(
    stack: WholeStack, tmp_path: Path
) -> None:
    """The command says what the API does."""
    _send(
        stack,
        _order("who-bob", 1, context={"traits": {"email": "bob@who.example"}}),
        _order("who-pat", 1),
        {**_order("who-p", 2), "userId": None, "anonymousId": "who-pad"},
    )
    _known(stack, "anonymous_id:who-pad", 1)
    bob, pat = _at_rest(stack, "user_id:who-bob", 1), _at_rest(stack, "user_id:who-pat", 1)
    joined = _ran(stack, "join", "user_id:who-pat", "anonymous_id:who-pad", "--why", "a test")
    both = _at_rest(stack, "user_id:who-pat", 2)
    changes = _read(stack, "identity/changes")

    said: set[str] = set()
    split_all = ["user_id:who-bob", "email:bob@who.example"]
    for what, who, named, status, sentence in (
        ("split", "user_id:who-bob", split_all, 409, _SOME),
        ("split", "user_id:who-bob", [], 409, _SOME),
        ("split", "user_id:who-bob", ["user_id:who-pat"], 409, _OTHERS),
        ("split", "user_id:who-nobody", ["user_id:who-nobody"], 404, _NOBODY),
        (
            "split",
            "user_id:who-pat",
            ["anonymous_id:who-pad"],
            409,
            f"joined by hand: undo {joined} before the split",
        ),
        (
            "join",
            "user_id:who-bob",
            ["email:bob@who.example"],
            409,
            "they are one customer already",
        ),
        ("join", "user_id:who-bob", ["user_id:who-nobody"], 404, _NOBODY),
        ("join", "user_id:who-bob", ["user_id:who-pat"], 409, _TOO_MANY),
    ):
        told = _ordered(stack, what, _as_order(what, who, named))
        assert (told.status, json.loads(told.body)["error"]["message"]) == (status, sentence)
        if sentence not in said:
            said.add(sentence)
            done = stack.run(what, who, *named, "--why", "a test")
            assert (done.returncode, done.stdout) == (1, "")
            assert sentence in done.stderr
    rules = tmp_path / "rules.toml"
    rules.write_text("[workspaces.default.identifiers.emial]\nlimit = 1\n")
    refused = stack.run("identity", "what-if", "--rules", str(rules))
    assert refused.returncode == EXIT_MISCONFIGURED
    assert "did you mean email?" in refused.stderr

    assert _read(stack, "identity/changes") == changes
    assert _customer(stack, "user_id:who-bob")["digest"] == bob["digest"]
    assert _customer(stack, "user_id:who-pat")["digest"] == both["digest"] != pat["digest"]


def test_a_refused_merge_is_a_conflict_that_can_be_seen(stack: WholeStack) -> None:
    calls = [_order(user, 1, anonymousId="who-laptop") for user in ("who-carl", "who-dora")]
    _send(stack, *calls)

    def there() -> bool:
        found = _read(stack, "identity/conflicts")["conflicts"]
        return any("user_id:who-dora" in (one["a"], one["b"]) for one in found)

    until(there, seconds=_ARRIVAL_SECONDS, every=0.1, what="the conflict is told")
    assert "user_id" in _ran(stack, "identity", "conflicts")
    seen = "SELECT count() FROM conflicts WHERE reason = 'limit' AND event_id = 'who-dora-1'"
    until(lambda: stack.query(seen) == [(1,)], every=0.1, what="the conflict is in ClickHouse")
    refused = stack.run("join", "user_id:who-carl", "user_id:who-dora", "--why", "a test")
    assert refused.returncode == 1
    assert "more user_id" in refused.stderr


def test_adopted_rules_reach_every_reader_and_earlier_ones_again(
    stack: WholeStack, tmp_path: Path
) -> None:
    """One card each: the second leaves with its order, and comes back with it."""

    def with_card(call: dict[str, Any], card: str) -> dict[str, Any]:
        return {**call, "context": {"externalIds": [{"type": "loyalty_card", "id": card}]}}

    def adopt(file: Path, text: str, why: str) -> str:
        file.write_text(text)
        return _ran(stack, "identity", "adopt", "--rules", str(file), "--why", why, "--yes")

    _send(
        stack,
        with_card({**_order("who-red", 1), "userId": None}, "who-red"),
        with_card({**_order("who-blue", 2), "userId": None}, "who-blue"),
        with_card(_order("who-rita", 3), "who-red"),
        with_card(_order("who-rita", 4), "who-blue"),
    )
    _known(stack, "user_id:who-rita", 4)
    before = json.loads(_ran(stack, "identity", "rules", "--json"))["rules"][0]["version"]
    earlier = _ran(stack, "identity", "rules", "--show", str(before))
    one_each = f"{earlier}\n\n[workspaces.default.identifiers.loyalty_card]\nlimit = 1\n"
    rules = tmp_path / "rules.toml"
    rules.write_text(one_each)

    tried = stack.run("identity", "what-if", "--rules", str(rules), "--fail-on", "split", "--json")
    assert (tried.returncode, json.loads(tried.stdout)["splits"]["total"]) == (1, 1)
    rita = _known(stack, "user_id:who-rita", 4)

    assert f"version {before + 1} is in force" in adopt(rules, one_each, "one card each")
    assert _known(stack, "loyalty_card:who-blue", 1)["metrics"]["orders"] == 1
    assert _known(stack, "user_id:who-rita", 3)["metrics"]["money"]["EUR"]["placed"] == 3000
    until(
        lambda: len(_owners(stack, "who-rita-3", "who-blue-2")) == 2, every=0.05, what="two owners"
    )
    again = stack.run("identity", "adopt", "--rules", str(rules), "--why", "again", "--yes")
    assert (again.returncode, "nothing to adopt" in again.stderr) == (2, True)

    adopt(rules, earlier, "as it was")
    until(
        lambda: _customer(stack, "user_id:who-rita")["digest"] == rita["digest"],
        seconds=_ARRIVAL_SECONDS,
        every=0.05,
        what="all is as it was",
    )
    until(
        lambda: len(_owners(stack, "who-rita-3", "who-blue-2")) == 1, every=0.05, what="one owner"
    )
    listed = _ran(stack, "identity", "rules").splitlines()
    assert [line.split("  ")[-1] for line in listed if not line.startswith(" ")][:2] == [
        "as it was",
        "one card each",
    ]
