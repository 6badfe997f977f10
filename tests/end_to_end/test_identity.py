"""Why, split, join and undo on the running stack: at once in states, ClickHouse and reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from customeros.runtime.secrets import read_secrets
from support.collecting import ask
from support.waiting import until
from support.whole_stack import WholeStack, fresh_settings, whole_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_ARRIVAL_SECONDS = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    with whole_stack(fresh_settings(tmp_path_factory.mktemp("home"))) as running:
        yield running


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


def _customer(stack: WholeStack, who: str) -> dict[str, Any]:
    return _read(stack, f"customers/{who}")


def _known(stack: WholeStack, who: str, orders: int) -> dict[str, Any]:
    def there() -> bool:
        found = _customer(stack, who)
        return "metrics" in found and bool(found["metrics"]["orders"] == orders)

    until(there, seconds=_ARRIVAL_SECONDS, every=0.05, what=f"{who} has {orders} orders")
    return _customer(stack, who)


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
    _send(stack, _order("ada", 1), {**_order("x", 2), "userId": None, "anonymousId": "tablet"})
    ada, tablet = _known(stack, "user_id:ada", 1), _known(stack, "anonymous_id:tablet", 1)

    change = _ran(stack, "join", "user_id:ada", "anonymous_id:tablet", "--why", "her tablet")
    both = _known(stack, "user_id:ada", 2)
    until(lambda: len(_owners(stack, "ada-1", "x-2")) == 1, every=0.05, what="one owner")
    assert both["metrics"]["money"]["EUR"]["placed"] == 2000
    assert "joined by" in _ran(stack, "why", "user_id:ada", "anonymous_id:tablet")
    assert _customer(stack, "anonymous_id:tablet")["customer_id"] == both["customer_id"]
    made = json.loads(_ran(stack, "identity", "changes", "--json"))["changes"]
    assert [(one["change_id"], one["why"], one["on"]) for one in made] == [
        (change, "her tablet", True)
    ]

    _ran(stack, "undo", change)

    assert _known(stack, "user_id:ada", 1)["digest"] == ada["digest"]
    assert _known(stack, "anonymous_id:tablet", 1)["digest"] == tablet["digest"]
    until(lambda: len(_owners(stack, "ada-1", "x-2")) == 2, every=0.05, what="two owners")


def test_a_split_gives_everybody_their_own_and_survives_a_restart(stack: WholeStack) -> None:
    both = {"userId": "eve", "anonymousId": "kiosk"}
    _send(stack, {**_order("k", 1), "userId": None, "anonymousId": "kiosk"}, _order("eve", 2))
    kiosk = _known(stack, "anonymous_id:kiosk", 1)
    _known(stack, "user_id:eve", 1)
    _send(stack, {**_order("eve", 3), **both})
    _known(stack, "user_id:eve", 3)
    assert "both on order eve-3" in _ran(stack, "why", "user_id:eve", "anonymous_id:kiosk")

    change = _ran(stack, "split", "user_id:eve", "anonymous_id:kiosk", "--why", "a shop's kiosk")

    assert _known(stack, "anonymous_id:kiosk", 1)["digest"] == kiosk["digest"]
    assert _known(stack, "user_id:eve", 2)["metrics"]["money"]["EUR"]["placed"] == 2000
    assert stack.kill("graph")
    until(lambda: stack.pid("graph") is not None, seconds=120, every=0.2, what="graph is back")
    _send(stack, {**_order("eve", 4), **both})
    assert _known(stack, "user_id:eve", 3)["metrics"]["orders"] == 3
    assert _known(stack, "anonymous_id:kiosk", 1)["digest"] == kiosk["digest"]
    apart = _ran(stack, "why", "user_id:eve", "anonymous_id:kiosk")
    assert f"customeros undo {change}" in apart


def test_what_cannot_be_is_refused_in_one_sentence(stack: WholeStack) -> None:
    _send(stack, _order("bob", 1, context={"traits": {"email": "bob@shop.example"}}))
    _known(stack, "email:bob@shop.example", 1)

    for command, sentence in (
        (("split", "user_id:bob", "user_id:bob", "email:bob@shop.example"), "not none, not all"),
        (("split", "user_id:nobody", "user_id:nobody"), "nobody is known by this"),
        (("join", "user_id:bob", "email:bob@shop.example"), "one customer already"),
    ):
        done = stack.run(*command, "--why", "a test")
        assert (done.returncode, done.stdout) == (1, "")
        assert sentence in done.stderr


def test_a_refused_merge_is_a_conflict_that_can_be_seen(stack: WholeStack) -> None:
    calls = [_order(user, 1, anonymousId="laptop") for user in ("carl", "dora")]
    _send(stack, *calls)

    def there() -> bool:
        found = _read(stack, "identity/conflicts")["conflicts"]
        return any("user_id:dora" in (one["a"], one["b"]) for one in found)

    until(there, seconds=_ARRIVAL_SECONDS, every=0.1, what="the conflict is told")
    assert "user_id" in _ran(stack, "identity", "conflicts")
    seen = "SELECT count() FROM conflicts WHERE reason = 'limit' AND event_id = 'dora-1'"
    until(lambda: stack.query(seen) == [(1,)], every=0.1, what="the conflict is in ClickHouse")
    refused = stack.run("join", "user_id:carl", "user_id:dora", "--why", "a test")
    assert refused.returncode == 1
    assert "more user_id" in refused.stderr
