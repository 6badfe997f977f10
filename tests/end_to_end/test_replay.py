"""Identity and state built anew beside the running ones say the same, and take over."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from customeros.ops.digest import read_digest
from customeros.ops.replay.decisions import tell
from customeros.runtime.clients import producer
from customeros.runtime.generation import in_force
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.runtime.stack.processes import environment
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import EVENT
from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier, identifier_key
from customeros.schemas.identity import Cut, Evidence, EvidenceKind
from customeros.schemas.topics import EVENTS, topic_key
from support.collecting import ask
from support.histories import WORKSPACE
from support.offline import PRIORITIES
from support.shop import a_shop
from support.waiting import until
from support.whole_stack import COMMAND, WholeStack, fresh_settings, whole_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_SEED = 20261122
_ARRIVAL_SECONDS = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    """With a history of merges, splits and joins, some of them undone."""
    home = tmp_path_factory.mktemp("home")
    config = home / "customeros.toml"
    sources = {"web": 0, **{source: number for (_, source), number in PRIORITIES.items()}}
    config.write_text(
        "[workspaces.default.sources.demo]\n"
        + "".join(
            f"[workspaces.{WORKSPACE}.sources.{source}]\npriority = {priority}\n"
            for source, priority in sources.items()
        )
    )
    settings = fresh_settings(home).model_copy(update={"config": config})
    with whole_stack(settings) as running:
        history = a_shop(_SEED, people=60, events_each=10)
        _produce(settings, history.events)
        tell(settings, history.told)
        yield running


def _produce(settings: Settings, events: Iterable[Event]) -> None:
    sending = producer(settings)
    for event in events:
        key = topic_key(WORKSPACE, event.identifier_keys[0])
        sending.produce(prefixed(settings, EVENTS[event.family]), EVENT.encode(event), key)
    assert sending.flush(30) == 0


def _send(stack: WholeStack, user: str, number: int, **fields: Any) -> None:
    call = {
        "type": "track",
        "event": "Order Completed",
        "userId": user,
        "messageId": f"{user}-{number}",
        "properties": {"order_id": f"{user}-{number}", "total": 10, "currency": "EUR"},
        **fields,
    }
    token = base64.b64encode(f"{stack.write_key}:".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    body = json.dumps({"batch": [call]}).encode()
    assert ask(stack.settings.collector.port, "POST", "/v1/batch", body, headers).status == 200


def _customer(stack: WholeStack, who: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {read_secrets(stack.settings).api_token}"}
    path = f"/v1/customers/{who}?workspace=default"
    found: dict[str, Any] = json.loads(
        ask(stack.settings.api.port, "GET", path, None, headers).body
    )
    return found


def _known(stack: WholeStack, who: str, orders: int) -> dict[str, Any]:
    def there() -> bool:
        found = _customer(stack, who)
        return "metrics" in found and bool(found["metrics"]["orders"] == orders)

    until(there, seconds=_ARRIVAL_SECONDS, every=0.1, what=f"{who} has {orders} orders")
    return _customer(stack, who)


def _in_clickhouse(stack: WholeStack) -> list[tuple[object, ...]]:
    return stack.query(
        "SELECT workspace, customer_id, email, orders, placed, traits FROM customers"
        " ORDER BY workspace, customer_id"
    )


def _ran(stack: WholeStack, *arguments: str, code: int = 0) -> str:
    done = stack.run(*arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout.strip()


def test_a_rebuild_survives_kill_9_says_the_same_and_takes_over(stack: WholeStack) -> None:
    _send(stack, "ada", 1)
    _send(stack, "eve", 1, anonymousId="kiosk")
    _send(stack, "eve", 2, userId=None, anonymousId="kiosk")
    _known(stack, "user_id:eve", 2)
    _known(stack, "user_id:ada", 1)
    _ran(stack, "split", "user_id:eve", "anonymous_id:kiosk", "--why", "a kiosk")
    _ran(stack, "join", "user_id:ada", "anonymous_id:kiosk", "--why", "her own")
    before = _known(stack, "user_id:ada", 2)
    environ = {**os.environ, **environment(stack.settings)}

    with subprocess.Popen(
        [*COMMAND, "replay"], env=environ, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        assert "building generation 2" in killed.stdout.readline()
        killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)

    told = _ran(stack, "replay", "--switch")
    assert "going on with generation 2" in told
    assert "\nequal\ngeneration 2 is in force\n" in told

    assert _customer(stack, "user_id:ada")["digest"] == before["digest"]
    assert _known(stack, "user_id:eve", 1)
    _send(stack, "ada", 3)
    _known(stack, "user_id:ada", 3)
    second = stack.settings.of(2)
    until(
        lambda: len(_in_clickhouse(stack)) == read_digest(second).customers,
        what="ClickHouse has them",
        seconds=_ARRIVAL_SECONDS,
    )

    assert "generation 1 is in force" in _ran(stack, "replay", "switch", "1")
    _known(stack, "user_id:ada", 3)
    _send(stack, "ada", 4)
    _known(stack, "user_id:ada", 4)
    assert not any(stack.restarts().values())
    _ran(stack, "replay", "drop", "2", "--yes")
    assert [g["generation"] for g in _generations(stack)] == [1]


def test_a_rebuild_that_differs_is_told_by_name_and_takes_nothing_over(stack: WholeStack) -> None:
    """As if other code or other rules had kept two identifiers apart."""
    _send(stack, "bob", 1, anonymousId="laptop")
    _known(stack, "user_id:bob", 1)
    _ran(stack, "replay", "seed", "2")
    secret = read_secrets(stack.settings).workspace_key("default")
    user, laptop = (
        identifier_key(secret, Identifier(kind, value))
        for kind, value in (("user_id", "bob"), ("anonymous_id", "laptop"))
    )
    planted = Cut(cut_id="x", version=1, on=True, left=(user,), right=(laptop,), by="x", why="x")
    cut = Evidence(workspace="default", kind=EvidenceKind.CUT, cut=planted)
    tell(stack.settings.of(2), [cut])

    told = json.loads(_ran(stack, "replay", "--switch", "--json", code=1))

    assert (told["equal"], told["running"]["generation"]) == (False, 1)
    bob = _known(stack, "user_id:bob", 1)["customer_id"]
    assert told["customers"]["other"] == {"count": 1, "first": [f"default|{bob}"]}
    assert told["customers"]["only_rebuilt"]["count"] == 1
    assert told["identifiers"]["only_running"]["count"] == 1
    assert in_force(stack.settings.home) == 1


def _generations(stack: WholeStack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_ran(stack, "replay", "status", "--json"))[
        "generations"
    ]
    return found
