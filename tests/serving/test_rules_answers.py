"""Rules that were adopted are listed, and others are adopted, by the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from customeros.processors.configured import toml_of
from customeros.processors.identity.public import change_of
from customeros.processors.identity.rules import Rules, rules_from, text_of
from customeros.schemas.customer import KnownIdentifier
from customeros.schemas.identifier import BUILT_IN_TYPES
from customeros.schemas.identity import Adoption, Evidence, EvidenceKind
from support.customers import WORKSPACE, a_state, known, own_id

if TYPE_CHECKING:
    from .conftest import World

TWO_ACCOUNTS = "[workspaces.default.identifiers.user_id]\nlimit = 2\n"


def adopt(client: TestClient, toml: str, **order: Any) -> Any:
    return client.post(
        "/v1/identity/rules", json={"toml": toml, "why": "a household shares", **order}
    )


def test_adopted_rules_are_evidence_and_are_in_force(client: TestClient, world: World) -> None:
    answer = adopt(client, TWO_ACCOUNTS, by="ada").json()

    assert answer == {"version": 1, "effective": True}
    (told,) = world.told
    assert told.kind is EvidenceKind.RULES
    assert told.rules is not None
    assert (told.rules.by, told.rules.why) == ("ada", "a household shares")
    assert rules_from(told.rules.text, WORKSPACE).limit("user_id") == 2


def test_versions_are_listed_newest_first_with_what_differs(client: TestClient) -> None:
    adopt(client, TWO_ACCOUNTS)
    adopt(client, "[workspaces.default.strengths]\nseen_page = 0\n", why="kiosks", by="eve")

    second, first = client.get("/v1/identity/rules").json()["rules"]

    assert (second["version"], second["by"], second["why"]) == (2, "eve", "kiosks")
    assert second["differences"] == [
        {"rule": "identifiers.types.user_id.limit", "now": 2, "then": 1},
        {"rule": "strengths.seen_page", "now": 1, "then": 0},
    ]
    assert first["differences"] == [
        {"rule": "identifiers.types.user_id.limit", "now": 1, "then": 2}
    ]


def test_an_earlier_version_can_be_adopted_again(client: TestClient) -> None:
    adopt(client, TWO_ACCOUNTS)
    adopt(client, "[workspaces.default]\n")

    found = client.get("/v1/identity/rules?version=1").json()
    again = adopt(client, found["toml"]).json()

    assert found["version"] == 1
    assert found["rules"]["identifiers"]["types"]["user_id"]["limit"] == 2
    assert again["version"] == 3
    assert client.get("/v1/identity/rules?version=3").json()["toml"] == found["toml"]


def test_what_if_compares_with_what_was_adopted(client: TestClient) -> None:
    """Not with the file, which may be older."""
    adopt(client, TWO_ACCOUNTS)

    found = client.post("/v1/identity/what-if", json={"toml": "[workspaces.default]\n"}).json()

    assert found["version"] == 1
    assert found["differences"] == [
        {"rule": "identifiers.types.user_id.limit", "now": 2, "then": 1}
    ]


def test_stored_identifiers_with_blocked_values_are_blocked_by_their_keys(
    client: TestClient, world: World
) -> None:
    desk: KnownIdentifier = known("email", "desk@hotel.example")
    world.know(a_state(own_id("email", "desk@hotel.example"), identifiers=(desk,)))

    adopt(client, '[workspaces.default.blocked]\npatterns = ["@hotel"]\n')

    told = world.told[0].rules
    assert told is not None
    assert rules_from(told.text, WORKSPACE).blocked == {desk.key}


@pytest.mark.parametrize(
    ("order", "refusal", "told"),
    [
        ({}, (409, "nothing_to_adopt"), "the rules in force"),
        ({"toml": TWO_ACCOUNTS, "after": 7}, (409, "overtaken"), "look again"),
        ({"toml": TWO_ACCOUNTS, "why": " "}, (400, "malformed_order"), "say why"),
        ({"toml": "[workspaces.default]\nx = 1"}, (400, "malformed_rules"), "toml:2: "),
        ({"toml": "[workspaces.till]\n"}, (400, "other_workspace"), "no [workspaces.default]"),
        (
            {"toml": "[workspaces.default.strengths]\nseen_paeg = 0"},
            (400, "malformed_rules"),
            "did you mean seen_page?",
        ),
    ],
)
def test_what_is_refused_changes_nothing(
    client: TestClient, world: World, order: dict[str, Any], refusal: tuple[int, str], told: str
) -> None:
    answer = adopt(client, **{"toml": "[workspaces.default]\n", **order})

    assert (answer.status_code, answer.json()["error"]["code"]) == refusal
    assert told in answer.json()["error"]["message"]
    assert world.told == []


def test_who_was_faster_wins_and_the_other_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Two at once propose the same version; the graph takes the first."""
    text = text_of(Rules(workspace=WORKSPACE, members=9))
    first = Adoption(version=1, text=text, by="eve", why="first", made_at=1)

    async def too_late(evidence: Evidence) -> None:
        world.change(change_of(first, WORKSPACE))

    monkeypatch.setattr(world, "tell", too_late)
    answer = adopt(request.getfixturevalue("client"), TWO_ACCOUNTS)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "overtaken")


def test_rules_are_no_change_by_hand(client: TestClient) -> None:
    """Earlier ones are adopted again instead of undone."""
    adopt(client, TWO_ACCOUNTS)

    undone = client.post("/v1/identity/undo", json={"change_id": "rules-1"})

    assert client.get("/v1/identity/changes").json() == {"changes": []}
    assert undone.status_code == 409


def test_an_unknown_version_is_refused(client: TestClient) -> None:
    answer = client.get("/v1/identity/rules?version=4")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_version")


def test_without_any_the_file_holds(client: TestClient) -> None:
    assert client.get("/v1/identity/rules").json() == {"rules": []}
    assert BUILT_IN_TYPES["user_id"].limit == 1
    assert toml_of(Rules(workspace=WORKSPACE)) == "[workspaces.default]\n"
