"""Why, evidence, conflicts and changes by hand, as the API answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.testclient import TestClient

from customeros.schemas.identifier import Identifier, identifier_key
from customeros.schemas.identity import IdentityLink
from support import samples
from support.customers import (
    NOON,
    WORKSPACE,
    WORKSPACE_KEY,
    a_link,
    a_state,
    an_assignment,
    known,
    own_id,
)

if TYPE_CHECKING:
    from .conftest import World

ADA = own_id("user_id", "ada")
EVE = own_id("user_id", "eve")


def key(kind: str, value: str) -> str:
    return identifier_key(WORKSPACE_KEY, Identifier(kind, value))


@pytest.fixture(autouse=True)
def _people(world: World) -> None:
    """Ada has an address and a device; Eve used the device once; a stray phone is nobody's yet."""
    world.know(
        a_state(
            ADA,
            identifiers=(
                known("email", "ada@example.com"),
                known("device_id", "tablet"),
                known("user_id", "ada"),
            ),
        ),
        an_assignment("email", "ada@example.com", ADA),
        an_assignment("device_id", "tablet", ADA),
        a_state(EVE, identifiers=(known("user_id", "eve"),)),
        a_state(
            own_id("email", "lovelace@example.com"),
            identifiers=(known("email", "lovelace@example.com"),),
        ),
    )
    world.link(
        a_link("user_id:ada", "email:ada@example.com"),
        a_link("user_id:ada", "device_id:tablet", event_id="login-1", strength=2, rule="identify"),
        a_link("user_id:eve", "device_id:tablet", event_id="e2", refused="limit", detail="user_id"),
    )
    world.events.rows = [
        samples.row(samples.EVENT, identifier_key=key("user_id", "ada"), event_id="order-1")
    ]


def asked(client: TestClient, a: str, b: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/why", params={"a": a, "b": b}).json()
    return found


def test_why_is_the_shortest_path_of_evidence_in_words(client: TestClient) -> None:
    found = asked(client, "email:Ada@example.com", "device_id:tablet")

    assert found["together"] is True
    assert [(step["rule"], step["event_id"]) for step in found["path"]] == [
        ("seen_track", "order-1"),
        ("identify", "login-1"),
    ]
    texts = [step["text"] for step in found["path"]]
    order = samples.EVENT.order
    assert order is not None
    assert texts[0] == f"both on order {order.order_id} from shop, 1 January 2026"
    assert texts[1].startswith("logged in")
    assert {found["path"][0]["a"], found["path"][0]["b"]} == {
        "email:ada@example.com",
        "user_id:ada",
    }


def test_why_is_answered_while_clickhouse_is_away(client: TestClient, world: World) -> None:
    world.events.away = True

    found = asked(client, "email:ada@example.com", "user_id:ada")

    assert found["path"][0]["text"] == "both in one event from shop, 1 January 2026"


def test_a_limit_that_keeps_two_apart_is_named_with_the_evidence_it_refused(
    client: TestClient,
) -> None:
    found = asked(client, "user_id:ada", "user_id:eve")

    assert found["together"] is False
    (one,) = found["apart"]
    assert (one["reason"], one["detail"]) == ("limit", "user_id")
    assert one["evidence"]["event_id"] == "e2"
    assert "limit" in one["remedy"]


def test_without_evidence_a_join_is_what_would_help(client: TestClient) -> None:
    found = asked(client, "user_id:ada", "email:lovelace@example.com")

    (one,) = found["apart"]
    assert one["reason"] == "no_evidence"
    assert "customeros join" in one["remedy"]


def test_a_blocked_value_keeps_everybody_apart(client: TestClient) -> None:
    found = asked(client, "user_id:ada", "email:null")

    assert [one["reason"] for one in found["apart"]] == ["blocked"]


def test_a_quarantined_identifier_is_the_reason(client: TestClient, world: World) -> None:
    lone = key("email", "lovelace@example.com")
    world.link(
        a_link("user_id:ada", "email:lovelace@example.com"),
        IdentityLink(
            workspace=WORKSPACE,
            a=lone,
            b="",
            version=NOON,
            a_type="email",
            b_type="",
            strength=0,
            occurred_at=NOON,
            event_id="",
            source="",
            rule="",
            refused="quarantined",
            detail="email",
        ),
    )

    found = asked(client, "user_id:ada", "email:lovelace@example.com")

    assert [one["reason"] for one in found["apart"]] == ["quarantined"]


def test_all_evidence_of_a_customer_has_what_was_refused_too(client: TestClient) -> None:
    found = client.get(f"/v1/customers/{ADA}/evidence").json()

    assert found["customer_id"] == ADA
    assert [(step["strength"], step["refused"]) for step in found["evidence"]] == [
        (2, None),
        (1, None),
        (1, "limit"),
    ]


def test_conflicts_come_newest_first_with_what_would_resolve_them(
    client: TestClient, world: World
) -> None:
    world.link(
        a_link(
            "user_id:eve",
            "email:ada@example.com",
            version=NOON + 1,
            refused="cut",
            detail="split-1",
        )
    )

    found = client.get("/v1/identity/conflicts?limit=1").json()

    assert found["total"] == 2
    (one,) = found["conflicts"]
    assert (one["reason"], one["remedy"]) == ("cut", "customeros undo split-1")
    assert {one["a_customer"], one["b_customer"]} == {ADA, EVE}


def order(client: TestClient, what: str, **fields: Any) -> Any:
    return client.post(f"/v1/identity/{what}", json=fields)


def test_a_split_cuts_the_named_identifiers_from_the_rest(client: TestClient, world: World) -> None:
    found = order(
        client,
        "split",
        customer=ADA,
        identifiers=["device_id:tablet"],
        why="a shared one",
        by="ops",
    ).json()

    (told,) = world.told
    assert told.cut is not None
    assert (found["change_id"], found["effective"]) == (told.cut.cut_id, True)
    assert told.cut.left == (key("device_id", "tablet"),)
    assert set(told.cut.right) == {key("user_id", "ada"), key("email", "ada@example.com")}
    (change,) = client.get("/v1/identity/changes").json()["changes"]
    assert (change["by"], change["why"], change["on"]) == ("ops", "a shared one", True)
    assert change["left"] == ["device_id:tablet"]


@pytest.mark.parametrize(
    ("identifiers", "code"),
    [
        ([], "splits_nobody"),
        (["user_id:ada", "email:ada@example.com", "device_id:tablet"], "splits_nobody"),
        (["user_id:eve"], "not_of_customer"),
    ],
)
def test_a_split_that_parts_nobody_is_refused(
    client: TestClient, world: World, identifiers: list[str], code: str
) -> None:
    answer = order(client, "split", customer=ADA, identifiers=identifiers, why="x")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)
    assert world.told == []


def test_a_split_of_nobody_is_refused(client: TestClient, world: World) -> None:
    answer = order(client, "split", customer="user_id:who", identifiers=["user_id:who"], why="x")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_customer")
    assert world.told == []


def test_a_split_that_contradicts_a_join_is_refused_until_that_is_undone(
    client: TestClient, world: World
) -> None:
    world.link(a_link("user_id:ada", "device_id:tablet", change_id="join-1"))

    answer = order(client, "split", customer=ADA, identifiers=["device_id:tablet"], why="x")

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "contradicts_join"
    assert "join-1" in answer.json()["error"]["message"]
    assert world.told == []


def test_a_join_makes_two_customers_one_and_can_be_undone_once(
    client: TestClient, world: World
) -> None:
    made = order(client, "join", a=ADA, b="email:lovelace@example.com", why="maiden name").json()
    again = order(client, "undo", change_id=made["change_id"], by="eve").json()
    third = order(client, "undo", change_id=made["change_id"])

    said, back = (told.join for told in world.told)
    assert said is not None
    assert back is not None
    assert (said.on, back.on, back.undone_by) == (True, False, "eve")
    assert {said.a.key, said.b.key} >= {key("email", "lovelace@example.com")}
    assert said.b.first_seen_at == NOON
    assert back.version > said.version
    assert again["effective"] is True
    assert third.json()["error"]["code"] == "already_undone"


def test_of_each_change_is_told_what_has_become_of_it(client: TestClient, world: World) -> None:
    """Also where two people said something at once, and only one of the two words can hold."""

    def fates() -> dict[str, tuple[str, str]]:
        made = client.get("/v1/identity/changes").json()["changes"]
        return {one["change_id"]: (one["fate"], one["in_the_way"]) for one in made}

    ends = {"a": ADA, "b": "email:lovelace@example.com"}
    joined = order(client, "join", **ends, why="maiden name").json()["change_id"]
    (told,) = world.told
    assert told.join is not None
    pair = tuple(point.key for point in (told.join.a, told.join.b))

    def linked(**facts: Any) -> None:
        a, b = sorted(pair)
        usual = a_link("user_id:ada", "email:lovelace@example.com", **facts)
        world.link(msgspec.structs.replace(usual, a=a, b=b))

    linked(change_id=joined)
    assert fates() == {joined: ("in_force", "")}
    linked(change_id=joined, refused="cut", detail="refuse-1")
    assert fates() == {joined: ("refused", "refuse-1")}
    linked(change_id="join-later")
    assert fates() == {joined: ("overruled", "")}
    linked(change_id=joined)
    order(client, "undo", change_id=joined)
    assert fates() == {joined: ("undone", "")}


@pytest.mark.parametrize(
    ("b", "code"), [("user_id:eve", "limit"), ("device_id:tablet", "already_one")]
)
def test_a_join_that_cannot_hold_is_refused(
    client: TestClient, world: World, b: str, code: str
) -> None:
    answer = order(client, "join", a="user_id:ada", b=b, why="x")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)
    assert world.told == []


def test_a_join_of_those_who_were_split_is_refused_until_that_is_undone(
    client: TestClient, world: World
) -> None:
    made = order(client, "split", customer=ADA, identifiers=["device_id:tablet"], why="x").json()
    world.know(
        an_assignment("device_id", "tablet", own_id("device_id", "tablet"), version=2),
        a_state(own_id("device_id", "tablet"), identifiers=(known("device_id", "tablet"),)),
    )

    answer = order(client, "join", a=ADA, b="device_id:tablet", why="x")

    assert answer.json()["error"]["code"] == "contradicts_split"
    assert made["change_id"] in answer.json()["error"]["message"]
    (one,) = asked(client, "user_id:ada", "device_id:tablet")["apart"][:1]
    assert (one["reason"], one["remedy"]) == ("cut", f"customeros undo {made['change_id']}")


def test_what_is_not_an_order_is_refused(client: TestClient) -> None:
    for what, body in (("split", "{}"), ("join", "nonsense"), ("undo", '{"change_id": 1}')):
        answer = client.post(f"/v1/identity/{what}", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_order")
    assert order(client, "undo", change_id="none").status_code == 404
    assert order(client, "join", a=ADA, b=ADA, why=" ").status_code == 400


def test_without_the_token_nothing_is_told(new_client: Any) -> None:
    stranger = new_client(Authorization="Bearer wrong")

    for path in ("/v1/why", "/v1/identity/changes", "/v1/identity/conflicts"):
        assert stranger.get(path).status_code == 401
    assert stranger.post("/v1/identity/split", json={}).status_code == 401
