"""The registry that the API serves, as its documented REST form has it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from customeros.schemas.codec import released_schemas
from customeros.schemas.topics import TOPICS
from customeros.serving.registry import ReadOnlyRegistry

PUBLIC = sorted(f"{topic.name}-value" for topic in TOPICS if topic.schema)


def ask(path: str, *, prefix: str = "") -> tuple[int, Any]:
    found = ReadOnlyRegistry(prefix).answer("GET", path)
    return found.status, found.body


def test_every_public_topic_is_a_subject() -> None:
    """With the prefix of the installation, where there is one."""
    assert ask("/subjects") == (200, PUBLIC)
    assert ask("/subjects", prefix="blue.") == (200, [f"blue.{subject}" for subject in PUBLIC])


@pytest.mark.parametrize("subject", PUBLIC)
def test_the_latest_version_leads_to_the_id_and_back(subject: str) -> None:
    """Version, id and schema agree wherever they are asked for."""
    _, latest = ask(f"/subjects/{subject}/versions/latest")

    assert ask(f"/subjects/{subject}/versions/{latest['version']}") == (200, latest)
    assert latest["version"] in ask(f"/subjects/{subject}/versions")[1]
    assert ask(f"/schemas/ids/{latest['id']}") == (200, {"schema": latest["schema"]})
    assert ask(f"/schemas/ids/{latest['id']}/schema") == (200, json.loads(latest["schema"]))
    assert ask(f"/subjects/{subject}/versions/latest/schema")[1] == json.loads(latest["schema"])
    place = {"subject": subject, "version": latest["version"]}
    assert place in ask(f"/schemas/ids/{latest['id']}/versions")[1]
    assert subject in ask(f"/schemas/ids/{latest['id']}/subjects")[1]


def test_every_released_schema_is_found_by_its_id() -> None:
    """Also those that no newest version has."""
    for number, schema in released_schemas().items():
        assert json.loads(ask(f"/schemas/ids/{number}")[1]["schema"]) == schema.definition


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/subjects/nothing/versions", 404, 40401),
        ("/subjects/nothing/versions/1", 404, 40401),
        ("/subjects/customer-state-value/versions/99", 404, 40402),
        ("/subjects/customer-state-value/versions/first", 422, 42202),
        ("/subjects/customer-state-value/versions/0", 422, 42202),
        ("/subjects/customer-state-value/versions/99/schema", 404, 40402),
        ("/schemas/ids/1", 404, 40403),
        ("/schemas/ids/x", 404, 40403),
        ("/config/nothing", 404, 40401),
        ("/associations/resources/customer-state", 404, 404),
        ("/elsewhere", 404, 404),
    ],
)
def test_errors_have_the_registrys_codes(path: str, status: int, code: int) -> None:
    """Clients decide by `error_code` what to do next."""
    found, body = ask(path)

    assert (found, body["error_code"]) == (status, code)
    assert isinstance(body["message"], str)


def test_a_serializer_may_look_its_schema_up() -> None:
    """The same JSON in another layout is the same schema."""
    schema = next(s for s in released_schemas().values() if s.name == "customer_state")
    body = json.dumps({"schema": json.dumps(schema.definition, indent=4)}).encode()

    found = ReadOnlyRegistry().answer("POST", "/subjects/customer-state-value", body)

    assert (found.status, found.body["id"]) == (200, schema.id)
    wrong = b'{"schema": "\\"string\\""}'
    assert ReadOnlyRegistry().answer("POST", "/subjects/customer-state-value", wrong).status == 404
    assert ReadOnlyRegistry().answer("POST", "/subjects/customer-state-value", b"[]").status == 422


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(client: TestClient, method: str) -> None:
    """Schemas come with the platform."""
    refused = client.request(method, "/registry/subjects/x/versions", content=b"{}")

    assert (refused.status_code, refused.json()["error_code"]) == (422, 42205)
    assert refused.headers["content-type"] == "application/vnd.schemaregistry.v1+json"


def test_reading_needs_no_token(client: TestClient) -> None:
    """Schemas are no secrets, and stock deserializers bring none."""
    del client.headers["Authorization"]

    assert client.get("/registry/subjects").json() == PUBLIC
    assert client.get("/registry/").json() == {}
    assert client.get("/registry/config").json() == {"compatibilityLevel": "BACKWARD_TRANSITIVE"}
    assert client.get("/registry/mode").json() == {"mode": "READONLY"}
