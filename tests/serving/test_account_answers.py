"""`GET /v1/accounts/ID`: the organisation, its members and its subsidiaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import pytest
from starlette.testclient import TestClient

from customeros.schemas.account import AccountState, AccountStatus
from support import samples
from support.customers import NOON, WORKSPACE

if TYPE_CHECKING:
    from .conftest import World


def an_account(account_id: str = "acme", **facts: Any) -> AccountState:
    return AccountState(workspace=WORKSPACE, account_id=account_id, version=1, **facts)


@pytest.mark.parametrize("account", ["acme", "a/b", "a/members", "ü 100%", "1?x#y"])
def test_an_organisation_is_found_by_any_id(client: TestClient, world: World, account: str) -> None:
    world.organise(an_account(account))

    found = client.get(f"/v1/accounts/{quote(account, safe='')}")

    assert (found.status_code, found.json()["account_id"]) == (200, account)


def test_it_is_told_with_its_members_money_and_timeline(client: TestClient, world: World) -> None:
    world.organise(samples.ACCOUNT)

    found = client.get("/v1/accounts/acme").json()

    assert found["metrics"]["money"] == {"EUR": {"placed": 1995, "refunded": 0, "cancelled": 0}}
    assert [member["customer_id"] for member in found["members"]] == [samples.ADA]
    assert found["timeline"][0]["customer_id"] == samples.ADA
    assert (found["parent"], found["subsidiaries"]) == ("acme-group", ["acme-uk"])


@pytest.mark.parametrize("listed", ["members", "subsidiaries"])
def test_pages_together_are_the_whole_list(client: TestClient, world: World, listed: str) -> None:
    world.organise(an_account())
    times = {"since_ms": NOON, "last_seen_ms": NOON, "role": None, "name": "", "email": ""}
    world.lists.member_rows = [
        {"account_id": account, "customer_id": f"c{n}", **times}
        for n in range(5)
        for account in ("acme", "globex")
    ]
    world.lists.account_rows = [
        {"parent": "acme", "account_id": f"c{n}", "name": "", "member_count": n} for n in range(5)
    ]
    name = "customer_id" if listed == "members" else "account_id"

    pages, after = [], ""
    while True:
        page = client.get(f"/v1/accounts/acme/{listed}?limit=2&after={after}").json()
        pages.append([row[name] for row in page[listed]])
        if page["next"] is None:
            break
        after = page["next"]

    assert pages == [["c0", "c1"], ["c2", "c3"], ["c4"]]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("globex", 404, "unknown_account"),
        ("gone", 410, "deleted"),
        ("acme/people", 404, "no_such_path"),
        ("%ff", 400, "malformed_account"),
        ("acme/members?limit=0", 400, "malformed_limit"),
        ("acme?workspace=none", 404, "unknown_workspace"),
    ],
)
def test_what_cannot_be_answered_says_why(
    client: TestClient, world: World, path: str, status: int, code: str
) -> None:
    world.organise(an_account(), an_account("gone", status=AccountStatus.DELETED))

    found = client.get(f"/v1/accounts/{path}")

    assert (found.status_code, found.json()["error"]["code"]) == (status, code)


def test_a_copy_that_is_still_being_read_does_not_answer(client: TestClient, world: World) -> None:
    world.organise(an_account())
    world.ready = False

    assert client.get("/v1/accounts/acme").json()["error"]["code"] == "not_ready"


def test_without_the_token_nothing_is_told(
    new_client: Callable[..., TestClient], world: World
) -> None:
    world.organise(msgspec.structs.replace(samples.ACCOUNT))

    assert new_client(Authorization="Bearer no").get("/v1/accounts/acme").status_code == 401
