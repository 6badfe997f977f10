"""Suggestions as the API answers them, and what accepting or refusing one does."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from customeros.runtime.errors import Unavailable
from customeros.schemas.customer import Consent, CustomerState, KnownIdentifier, Status, Trait
from customeros.serving.identity.comparing import Compared
from customeros.serving.identity.comparisons import Comparisons
from support.customers import (
    NOON,
    WORKSPACE,
    a_state,
    an_assignment,
    known,
    own_id,
)
from support.waiting import until

if TYPE_CHECKING:
    from .conftest import World

BORN = "1984-07-23"


def person(name: str, *identifiers: KnownIdentifier, **facts: Any) -> CustomerState:
    """A customer by that name, born on the same day as all others."""
    first = identifiers[0]
    assert first.value is not None
    traits = {
        trait: Trait(value=json.dumps(value), source="shop", event_id="e", occurred_at=NOON)
        for trait, value in {"name": name, "birthday": BORN}.items()
    }
    usual: dict[str, Any] = {"identifiers": identifiers, "traits": traits}
    return a_state(own_id(first.type, first.value), **{**usual, **facts})


JON = person("Jon Whitfield", known("phone", "+447700900123"))
JOHN = person("John Whitfield", known("email", "john@example.com"))
EVE = person("Evelyn Marsh", known("email", "eve@example.com"))
PAIR = {JON.customer_id, JOHN.customer_id}


def suggested(client: TestClient, **asked: Any) -> dict[str, Any]:
    """The answer from a comparison that is made now."""
    asked = {"as_of": datetime.now(UTC).isoformat(), **asked}
    found = client.get("/v1/identity/suggestions", params=asked)
    assert found.status_code == 200, found.text
    answer: dict[str, Any] = found.json()
    return answer


def pairs(found: dict[str, Any]) -> list[set[str]]:
    return [{one["a"]["customer_id"], one["b"]["customer_id"]} for one in found["suggestions"]]


def order(client: TestClient, what: str, **fields: Any) -> Any:
    fields = {"a": "phone:+447700900123", "b": "email:john@example.com", "why": "x", **fields}
    return client.post(f"/v1/identity/suggestions/{what}", json=fields)


@pytest.fixture(autouse=True)
def _people(world: World) -> None:
    world.know(JON, JOHN, EVE)


def test_a_suggestion_shows_both_customers_the_score_and_why(client: TestClient) -> None:
    found = suggested(client)

    (one,) = found["suggestions"]
    assert found["customers"] == 3
    assert found["next"] is None
    shown = {side["customer_id"]: side for side in (one["a"], one["b"])}
    assert shown[JON.customer_id]["name"] == "Jon Whitfield"
    assert shown[JOHN.customer_id]["identifiers"] == ["email:john@example.com"]
    assert "same birth date" in one["reasons"]
    assert 0.5 < one["probability"] <= 1
    assert one["forbidden"] is None


def test_a_refused_pair_is_gone_until_the_refusal_is_undone(
    client: TestClient, world: World
) -> None:
    as_of = suggested(client)["as_of"]
    made = order(client, "refuse", why="two brothers", by="ops").json()

    assert made["effective"] is True
    assert pairs(suggested(client, as_of=as_of)) == []
    (told,) = world.told
    assert told.cut is not None
    assert (told.cut.by, told.cut.why) == ("ops", "two brothers")
    assert {told.cut.left, told.cut.right} == {
        (JON.identifiers[0].key,),
        (JOHN.identifiers[0].key,),
    }

    client.post("/v1/identity/undo", json={"change_id": made["change_id"]})

    assert pairs(suggested(client, as_of=as_of)) == [PAIR]


def test_a_refused_pair_stays_gone_when_either_is_known_by_more(
    client: TestClient, world: World
) -> None:
    order(client, "refuse")
    more = known("user_id", "john")
    world.know(
        person("John Whitfield", *JOHN.identifiers, more),
        an_assignment("user_id", "john", JOHN.customer_id),
    )

    assert pairs(suggested(client)) == []
    again = order(client, "refuse", b="user_id:john")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_apart")


def test_an_accepted_pair_is_evidence_by_hand(client: TestClient, world: World) -> None:
    made = order(client, "accept", why="it is him", by="ops").json()

    (told,) = world.told
    assert told.join is not None
    assert (told.join.change_id, told.join.by, told.join.why) == (
        made["change_id"],
        "ops",
        "it is him",
    )
    assert made["effective"] is True


def joined(world: World) -> None:
    """As the state stage tells that John is Jon."""
    world.know(
        person("Jon Whitfield", *JON.identifiers, *JOHN.identifiers),
        person(
            "John Whitfield",
            *JOHN.identifiers,
            status=Status.MERGED,
            merged_into=JON.customer_id,
        ),
        an_assignment("email", "john@example.com", JON.customer_id),
    )


def test_customers_who_became_one_are_not_shown_from_an_older_comparison(
    client: TestClient, world: World
) -> None:
    as_of = suggested(client)["as_of"]
    joined(world)

    found = suggested(client, as_of=as_of)

    assert (found["as_of"], found["suggestions"]) == (as_of, [])


def test_to_refuse_who_is_one_customer_changes_nothing(client: TestClient, world: World) -> None:
    joined(world)

    answer = order(client, "refuse")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "already_one")
    assert world.told == []


def test_to_accept_who_was_refused_names_what_to_undo(client: TestClient, world: World) -> None:
    made = order(client, "refuse").json()

    answer = order(client, "accept")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "contradicts_split")
    assert made["change_id"] in answer.json()["error"]["message"]
    assert len(world.told) == 1


def test_a_pair_that_a_limit_forbids_says_so(client: TestClient, world: World) -> None:
    for who, name in ((JON, "jon"), (JOHN, "john")):
        more = known("user_id", name)
        world.know(
            a_state(
                who.customer_id, identifiers=(*who.identifiers, more), traits=who.traits, version=2
            ),
            an_assignment("user_id", name, who.customer_id),
        )

    (one,) = suggested(client)["suggestions"]

    assert (one["forbidden"]["reason"], one["forbidden"]["detail"]) == ("limit", "user_id")
    assert order(client, "accept").json()["error"]["code"] == "limit"


def test_nobody_is_suggested_across_workspaces_erased_or_merged(
    client: TestClient, world: World
) -> None:
    world.know(
        person("John Whitfield", *JOHN.identifiers, workspace="other"),
        person("Jon Whitfield", known("phone", "+447700900124"), status=Status.ERASED),
    )

    assert pairs(suggested(client)) == [PAIR]
    elsewhere = suggested(client, workspace="other")
    assert (elsewhere["customers"], elsewhere["suggestions"]) == (1, [])


def test_an_erased_customer_is_gone_from_an_older_comparison(
    client: TestClient, world: World
) -> None:
    as_of = suggested(client)["as_of"]
    world.know(a_state(JON.customer_id, status=Status.ERASED, version=2))

    assert pairs(suggested(client, as_of=as_of)) == []


def test_where_consent_is_asked_for_only_those_who_gave_it_are_compared(
    client: TestClient, world: World
) -> None:
    """Missing is no, and so is taken back since the comparison."""

    def said(granted: bool) -> dict[str, Consent]:
        return {"matching": Consent(granted=granted, source="web", event_id="c", occurred_at=NOON)}

    there: dict[str, Any] = {"workspace": "careful"}
    world.know(
        person("Jon Whitfield", *JON.identifiers, consent=said(True), **there),
        person("John Whitfield", *JOHN.identifiers, consent=said(True), **there),
        person("John Whitfield", known("phone", "+447700900132"), consent=said(False), **there),
        person("J Whitfield", known("phone", "+447700900125"), **there),
    )

    found = suggested(client, workspace="careful")

    assert (found["customers"], pairs(found)) == (2, [PAIR])
    world.know(person("Jon Whitfield", *JON.identifiers, consent=said(False), **there))
    assert pairs(suggested(client, workspace="careful", as_of=found["as_of"])) == []


def test_pages_follow_each_other_and_lose_nobody(client: TestClient, world: World) -> None:
    for number in range(4):
        world.know(person("Jonny Whitfield", known("phone", f"+44770090020{number}")))
    everybody = suggested(client)
    found: list[set[str]] = []
    after: dict[str, Any] = {}

    for _ in everybody["suggestions"]:
        page = suggested(client, as_of=everybody["as_of"], limit=1, **after)
        found += pairs(page)
        after = {"after": page["next"]}

    assert len(found) > 3
    assert found == pairs(everybody)
    assert after == {"after": None}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"limit": "0"}, "malformed_limit"),
        ({"after": "?"}, "malformed_after"),
        ({"as_of": "soon"}, "malformed_as_of"),
    ],
)
def test_a_malformed_question_says_how_to_ask(
    client: TestClient, asked: dict[str, str], code: str
) -> None:
    answer = client.get("/v1/identity/suggestions", params=asked)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_without_the_token_nobody_is_told_of_anybody(new_client: Any) -> None:
    stranger = new_client(Authorization="Bearer wrong")

    assert stranger.get("/v1/identity/suggestions").status_code == 401
    assert stranger.post("/v1/identity/suggestions/refuse", json={}).status_code == 401


class Slow:
    """A comparison that takes until it is let go, by a clock that is set."""

    def __init__(self) -> None:
        self.now = NOON
        self.go = threading.Event()
        self.fails = False
        self.asked: list[str] = []
        self.made = Comparisons(self.compare, lambda: self.now)

    def compare(self, workspace: str, consent: str | None) -> Compared:
        self.asked.append(workspace)
        self.go.wait()
        if self.fails:
            raise Unavailable("kafka")
        return Compared(len(self.asked), [])


def test_one_comparison_answers_all_who_ask_meanwhile() -> None:
    slow = Slow()
    for _ in range(3):
        slow.made.begin(WORKSPACE, None)
    slow.go.set()

    until(lambda: slow.made.last(WORKSPACE) is not None, what="it is compared")

    last = slow.made.last(WORKSPACE)
    assert last is not None
    assert (slow.asked, last.as_of) == ([WORKSPACE], NOON)


def test_a_comparison_that_failed_is_not_tried_again_at_once() -> None:
    slow = Slow()
    slow.fails = True
    slow.go.set()
    slow.made.begin(WORKSPACE, None)

    def refused() -> bool:
        try:
            slow.made.begin(WORKSPACE, None)
        except Unavailable:
            return True
        return False

    until(refused, what="the failure is told")
    slow.now += 10_000
    slow.fails = False
    slow.made.begin(WORKSPACE, None)

    def compared() -> bool:
        slow.made.begin(WORKSPACE, None)
        return slow.made.last(WORKSPACE) is not None

    until(compared, what="it is compared")
