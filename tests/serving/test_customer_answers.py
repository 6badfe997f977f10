"""`GET /v1/customers/WHO`: who is found, and what is said when nobody is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from customeros.schemas.customer import Status
from support.customers import a_state, an_assignment, known, own_id

if TYPE_CHECKING:
    from .conftest import World

ADA = own_id("email", "ada@example.com")
BOB = own_id("user_id", "bob")


def test_a_customer_is_found_by_id_and_by_identifier_as_people_write_it(
    client: TestClient, world: World
) -> None:
    """The identifier is normalised as on the way in."""
    world.know(a_state(ADA))

    for who in (
        ADA,
        "email:ada@example.com",
        "email:%20ADA@Example.com",
        "email%3Aada@example.com",
    ):
        found = client.get(f"/v1/customers/{who}")
        assert (found.status_code, found.json()["customer_id"]) == (200, ADA)


@pytest.mark.parametrize("value", ["a/b", "a/events", "ü:ñ", "100%", "a?b#c", "a b+c"])
def test_any_value_can_be_asked_for(client: TestClient, world: World, value: str) -> None:
    """Percent-encoded, no character has a meaning of its own."""
    world.know(a_state(own_id("user_id", value)))

    found = client.get(f"/v1/customers/user_id:{quote(value, safe='')}")

    assert found.json()["customer_id"] == own_id("user_id", value)


def test_an_account_of_another_system_is_an_identifier(client: TestClient, world: World) -> None:
    """Its type has two parts."""
    world.know(a_state(own_id("stripe:acct_1", "cus_9")))

    assert client.get("/v1/customers/stripe:acct_1:cus_9").status_code == 200


def test_a_merged_customer_answers_with_the_survivor(client: TestClient, world: World) -> None:
    """And the answer says who was asked for; by identifier there is nothing to say."""
    world.know(
        a_state(ADA, status=Status.MERGED, merged_into=BOB),
        a_state(BOB, identifiers=(known("user_id", "bob"), known("email", "ada@example.com"))),
        an_assignment("email", "ada@example.com", BOB),
    )

    by_id = client.get(f"/v1/customers/{ADA}").json()
    by_email = client.get("/v1/customers/email:ada@example.com").json()

    assert (by_id["customer_id"], by_id["merged_from"]) == (BOB, ADA)
    assert by_email["customer_id"] == BOB
    assert "merged_from" not in by_email


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        ("email:eve@example.com", 404, "unknown_customer"),
        ("c" + "a" * 20, 404, "unknown_customer"),
        ("nobody", 400, "malformed_identifier"),
        ("email:", 400, "malformed_identifier"),
        ("email:null", 400, "malformed_identifier"),
        ("email:not-an-address", 400, "malformed_identifier"),
        ("phone:12", 400, "malformed_identifier"),
        ("Email:eve@example.org", 400, "malformed_identifier"),
        ("user_id:%00", 400, "malformed_identifier"),
        ("user_id:%ff", 400, "malformed_identifier"),
        ("user_id:" + "x" * 257, 400, "malformed_identifier"),
        ("", 400, "malformed_identifier"),
        ("a:b/orders", 404, "no_such_path"),
    ],
)
def test_what_names_nobody_is_refused_with_a_sentence(
    client: TestClient, who: str, status: int, code: str
) -> None:
    """The sentence never holds what was sent."""
    refused = client.get(f"/v1/customers/{who}")

    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    value = who.partition(":")[2]
    assert not value or value not in refused.text


@pytest.mark.parametrize(
    ("who", "meant"),
    [
        ("emial:eve@example.com", "; did you mean the type email?"),
        ("user-id:eve", "; did you mean the type user_id?"),
        ("email:eve@example.com", ""),
        ("shop:berlin:7", ""),
        ("c" + "a" * 20, ""),
    ],
)
def test_a_slip_of_a_type_is_told(client: TestClient, who: str, meant: str) -> None:
    refused = client.get(f"/v1/customers/{who}")

    assert refused.status_code == 404
    assert refused.json()["error"]["message"] == f"nobody is known by this{meant}"


def test_an_erased_customer_is_gone(client: TestClient, world: World) -> None:
    """410, and nothing else."""
    world.know(a_state(ADA, status=Status.ERASED))

    refused = client.get(f"/v1/customers/{ADA}")

    assert (refused.status_code, refused.json()["error"]["code"]) == (410, "erased")


def test_a_merge_under_way_is_asked_again(client: TestClient, world: World) -> None:
    """The survivor's state has not arrived: not unknown, only not yet."""
    world.know(a_state(ADA, status=Status.MERGED, merged_into=BOB))

    refused = client.get(f"/v1/customers/{ADA}")

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_nobody_is_called_unknown_before_everybody_was_read(
    client: TestClient, world: World
) -> None:
    """503 while the copies catch up, also at `/readyz`."""
    world.ready = False

    refused = client.get(f"/v1/customers/{ADA}")

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
    unready = client.get("/readyz")
    assert unready.status_code == 503
    assert unready.json() == {
        "ready": False,
        "reason": "customer-state catches up",
        "customer-state": False,
        "identity.assignments": True,
    }
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", "Bearer tok_testx", "Basic tok_test", "tok_test"],
)
def test_without_the_token_nothing_is_told(
    new_client: Callable[..., TestClient], world: World, authorization: str
) -> None:
    """Not even whether the customer exists."""
    world.know(a_state(ADA))
    stranger = new_client(Authorization=authorization)

    refused = stranger.get(f"/v1/customers/{ADA}")

    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
    assert "Bearer" in refused.headers["www-authenticate"]


def test_a_workspace_sees_only_its_own_customers(client: TestClient, world: World) -> None:
    """`?workspace=` names another than the first."""
    world.know(a_state(ADA))

    assert client.get(f"/v1/customers/{ADA}?workspace=other").status_code == 404
    assert client.get(f"/v1/customers/{ADA}?workspace=default").status_code == 200
    refused = client.get(f"/v1/customers/{ADA}?workspace=nowhere")
    assert refused.json()["error"]["code"] == "unknown_workspace"


def test_other_paths_and_methods_are_refused_in_the_same_form(client: TestClient) -> None:
    """Errors are JSON wherever they come from."""
    assert client.get("/v2").json()["error"]["code"] == "http_404"
    assert client.delete(f"/v1/customers/{ADA}").json()["error"]["code"] == "http_405"


def test_requests_are_counted_by_route_and_never_by_path(client: TestClient, world: World) -> None:
    """No identifier becomes a label."""
    client.get("/v1/customers/email:counted@example.com")

    metrics = client.get("/metrics").text

    assert 'route="customer",stage="api",status="404"' in metrics
    assert "counted" not in metrics
