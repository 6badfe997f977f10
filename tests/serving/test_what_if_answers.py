"""What other rules would change, as the API answers it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from customeros.schemas.customer import Consent
from support.customers import NOON, a_link, a_state, an_assignment, known, own_id
from support.waiting import until

if TYPE_CHECKING:
    from .conftest import World

ADA = own_id("user_id", "ada")
EVE = own_id("user_id", "eve")
TWO_ACCOUNTS = """
[workspaces.default.identifiers.user_id]
limit = 2
"""


def consent(*, granted: bool) -> Consent:
    return Consent(granted=granted, source="web", event_id="c1", occurred_at=NOON)


@pytest.fixture(autouse=True)
def _people(world: World) -> None:
    """Ada's tablet was used by Eve, too, who wants no advertising."""
    world.know(
        a_state(
            ADA,
            identifiers=(known("device_id", "tablet"), known("user_id", "ada")),
            consent={"ads": consent(granted=True), "mail": consent(granted=True)},
        ),
        an_assignment("device_id", "tablet", ADA),
        a_state(
            EVE,
            identifiers=(known("user_id", "eve"),),
            consent={"ads": consent(granted=False)},
        ),
    )
    world.link(
        a_link("user_id:ada", "device_id:tablet", event_id="e1"),
        a_link("user_id:eve", "device_id:tablet", event_id="e2", refused="limit", detail="user_id"),
    )


def tried(client: TestClient, toml: str, **order: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/v1/identity/what-if", json={"toml": toml, **order}).json()
    return found


def test_who_would_join_is_told_by_name_with_the_reason(client: TestClient) -> None:
    found = tried(client, TWO_ACCOUNTS)

    assert found["workspace"] == "default"
    assert found["differences"] == [
        {"rule": "identifiers.types.user_id.limit", "now": 1, "then": 2}
    ]
    assert (found["identifiers"], found["behind"], found["splits"]["total"]) == (3, 0, 0)
    assert (found["joins"]["total"], found["joins"]["customers"]) == (1, 2)
    (join,) = found["joins"]["first"]
    assert join["customers"] == sorted([ADA, EVE])
    assert {*join["identifiers"]} == {"device_id:tablet", "user_id:ada", "user_id:eve"}
    (reason,) = join["reasons"]
    assert {reason["a"], reason["b"]} == {"user_id:eve", "device_id:tablet"}
    assert (reason["reason"], reason["now"], reason["then"]) == ("limit", 1, 2)
    assert reason["text"] == "a limit of 1 user_id no longer stands between them"


def test_whose_consent_would_narrow_is_told_by_purpose(client: TestClient) -> None:
    found = tried(client, TWO_ACCOUNTS)["consent"]

    assert (found["total"], found["purposes"]) == (1, {"ads": 1})
    assert found["first"] == [
        {"customer": ADA, "purpose": "ads", "because": [EVE], "certain": True}
    ]


def test_only_so_many_are_named(client: TestClient) -> None:
    found = tried(client, TWO_ACCOUNTS, first=0)

    assert (found["joins"]["total"], found["joins"]["first"]) == (1, [])


def test_values_that_would_be_blocked_are_those_stored(client: TestClient) -> None:
    """By a pattern, which keys alone cannot tell."""
    found = tried(client, '[workspaces.default.blocked]\npatterns = ["^tab"]\n')

    assert (found["blocked"], found["splits"]["total"]) == (1, 1)
    (reason,) = found["splits"]["first"][0]["reasons"]
    assert reason["text"] == "this device_id is blocked"
    assert found["differences"] == [
        {"rule": "identifiers.blocked_patterns", "now": [], "then": ["^tab"]}
    ]


def test_the_rules_in_force_change_nothing(client: TestClient) -> None:
    found = tried(client, "[workspaces.default]\n")

    assert found["differences"] == []
    assert (found["joins"]["total"], found["splits"]["total"]) == (0, 0)


@pytest.mark.parametrize(
    ("order", "code", "told"),
    [
        (
            {"toml": "[workspaces.default.identifiers.email]\nlimt = 2\n", "file": "new.toml"},
            "malformed_rules",
            "new.toml:2: workspaces.default.identifiers.email.limt is unknown; did you mean limit?",
        ),
        (
            {"toml": "[workspaces.default.identifiers.email]\nlimit = 0\n"},
            "malformed_rules",
            "customeros.toml:2: workspaces.default.identifiers.email.limit: "
            "input should be greater than or equal to 1",
        ),
        ({"toml": "a = = 1"}, "malformed_rules", "customeros.toml: not valid TOML"),
        (
            {"toml": "[workspaces.till]\n"},
            "other_workspace",
            "customeros.toml has no [workspaces.default], but till",
        ),
        ({"toml": TWO_ACCOUNTS, "first": -1}, "malformed_order", "from 0 to 1000"),
        ({}, "malformed_order", "send a JSON object with toml"),
    ],
)
def test_what_cannot_be_tried_is_told_with_line_and_remedy(
    client: TestClient, order: dict[str, Any], code: str, told: str
) -> None:
    answer = client.post("/v1/identity/what-if", json=order)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert told in answer.json()["error"]["message"]


def test_only_one_is_tried_at_a_time(
    client: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a core; the next is asked to come again."""
    begun, end = threading.Event(), threading.Event()

    def slowly(workspace: str) -> Iterator[str]:
        begun.set()
        assert end.wait(60)
        return iter(())

    monkeypatch.setattr(world.links, "named", slowly)
    with client, ThreadPoolExecutor() as pool:
        first = pool.submit(client.post, "/v1/identity/what-if", json={"toml": TWO_ACCOUNTS})
        until(begun.is_set, what="the first to begin")
        second = client.post("/v1/identity/what-if", json={"toml": TWO_ACCOUNTS})
        end.set()

        assert first.result(60).status_code == 200
    assert (second.status_code, second.json()["error"]["code"]) == (429, "busy")
    assert second.headers["Retry-After"] == "5"
