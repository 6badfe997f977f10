"""The shipped schemas in the schema registry's own REST form, read-only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from customeros.schemas.codec import ReleasedSchema, released_schemas
from customeros.schemas.topics import FIRST_GENERATION, TOPICS
from customeros.serving.answers import answer

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
COMPATIBILITY: Final = "BACKWARD_TRANSITIVE"
# Of the registry and of every subject.
_STANDING: Final = {
    "config": {"compatibilityLevel": COMPATIBILITY},
    "mode": {"mode": "READONLY"},
}

_NO_SUCH_PATH: Final = (404, 404, "HTTP 404 Not Found")
_SUBJECT_UNKNOWN: Final = (404, 40401, "Subject not found.")
_VERSION_UNKNOWN: Final = (404, 40402, "Version not found.")
_SCHEMA_UNKNOWN: Final = (404, 40403, "Schema not found.")
_VERSION_INVALID: Final = (
    422,
    42202,
    "The specified version is not a valid version id. Allowed values are between [1, 2^31-1] "
    'and the string "latest"',
)
_SCHEMA_INVALID: Final = (422, 42201, "The input schema is not a JSON text.")
_READ_ONLY: Final = (422, 42205, "This registry is read-only: schemas come with customerOS.")


class RegistryAnswer(NamedTuple):
    status: int
    body: Any


class ReadOnlyRegistry:
    """
    What a Confluent-compatible registry answers that holds the shipped schemas and no others.

    Subjects are `<topic>-value`, versions are the schemas' own, ids are those in the records.
    """

    def __init__(self, topic_prefix: str = "", generation: int = FIRST_GENERATION) -> None:
        schemas = released_schemas().values()
        self._subjects: dict[str, dict[int, ReleasedSchema]] = {
            subject: {s.version: s for s in schemas if s.name == name}
            for subject, name in subjects(topic_prefix, generation)
        }

    async def __call__(self, request: Request) -> Response:
        """The endpoint; schemas are no secrets, so it asks for no token."""
        body = await request.body() if request.method == "POST" else b""
        found = self.answer(request.method, request.path_params.get("path", ""), body)
        return answer(found.body, status=found.status, media_type=MEDIA_TYPE)

    def answer(self, method: str, path: str, body: bytes = b"") -> RegistryAnswer:
        """What the registry says to a request; *path* is without the place it is mounted at."""
        match (method, [part for part in path.split("/") if part]):
            case "POST", ["subjects", subject]:
                return self._look_up(subject, body)
            case "GET" | "HEAD", parts:
                return self._get(parts)
            case _:
                return _error(*_READ_ONLY)

    def _get(self, parts: list[str]) -> RegistryAnswer:  # noqa: PLR0911 - one line for each path
        match parts:
            case []:
                return RegistryAnswer(200, {})
            case ["subjects"]:
                return RegistryAnswer(200, sorted(self._subjects))
            case ["subjects", subject, "versions"]:
                return self._versions(subject)
            case ["subjects", subject, "versions", version]:
                return self._version(subject, version)
            case ["subjects", subject, "versions", version, "schema"]:
                found = self._version(subject, version)
                return _only_schema(found)
            case ["schemas", "types"]:
                return RegistryAnswer(200, ["AVRO"])
            case ["schemas", "ids", number, *rest]:
                return self._by_id(number, rest)
            case ["config" | "mode" as what]:
                return RegistryAnswer(200, _STANDING[what])
            case ["config" | "mode" as what, subject]:
                known = subject in self._subjects
                return RegistryAnswer(200, _STANDING[what]) if known else _error(*_SUBJECT_UNKNOWN)
            case _:
                return _error(*_NO_SUCH_PATH)

    def _versions(self, subject: str) -> RegistryAnswer:
        known = self._subjects.get(subject)
        return _error(*_SUBJECT_UNKNOWN) if known is None else RegistryAnswer(200, sorted(known))

    def _version(self, subject: str, version: str) -> RegistryAnswer:
        known = self._subjects.get(subject)
        if known is None:
            return _error(*_SUBJECT_UNKNOWN)
        if version in ("latest", "-1"):
            return _schema_of(subject, known[max(known)])
        if not (version.isascii() and version.isdigit() and 0 < int(version[:11]) < 2**31):
            return _error(*_VERSION_INVALID)
        schema = known.get(int(version))
        return _error(*_VERSION_UNKNOWN) if schema is None else _schema_of(subject, schema)

    def _by_id(self, number: str, rest: list[str]) -> RegistryAnswer:
        valid = number.isascii() and number.isdigit() and len(number) < 11
        schema = released_schemas().get(int(number)) if valid else None
        if schema is None:
            return _error(*_SCHEMA_UNKNOWN)
        places = [
            {"subject": subject, "version": schema.version}
            for subject, known in sorted(self._subjects.items())
            if schema in known.values()
        ]
        match rest:
            case []:
                return RegistryAnswer(200, {"schema": schema_text(schema)})
            case ["schema"]:
                return RegistryAnswer(200, schema.definition)
            case ["subjects"]:
                return RegistryAnswer(200, [place["subject"] for place in places])
            case ["versions"]:
                return RegistryAnswer(200, places)
            case _:
                return _error(*_NO_SUCH_PATH)

    def _look_up(self, subject: str, body: bytes) -> RegistryAnswer:
        """Whether a schema is known under the subject, as serializers ask before they write."""
        known = self._subjects.get(subject)
        if known is None:
            return _error(*_SUBJECT_UNKNOWN)
        try:
            asked = json.loads(json.loads(body)["schema"])
        except (ValueError, TypeError, KeyError):
            return _error(*_SCHEMA_INVALID)
        schema = next((s for s in known.values() if s.definition == asked), None)
        return _error(*_SCHEMA_UNKNOWN) if schema is None else _schema_of(subject, schema)


def subjects(
    topic_prefix: str = "", generation: int = FIRST_GENERATION
) -> Iterable[tuple[str, str]]:
    """Each subject with the name of its schema: one for every public topic."""
    return [
        (f"{topic.full_name(topic_prefix, generation)}-value", topic.schema)
        for topic in TOPICS
        if topic.schema is not None
    ]


@cache
def _text(schema_id: int) -> str:
    return json.dumps(released_schemas()[schema_id].definition, separators=(",", ":"))


def schema_text(schema: ReleasedSchema) -> str:
    """The schema as the JSON text that registries keep."""
    return _text(schema.id)


def _schema_of(subject: str, schema: ReleasedSchema) -> RegistryAnswer:
    body = {
        "subject": subject,
        "version": schema.version,
        "id": schema.id,
        "schemaType": "AVRO",
        "schema": schema_text(schema),
    }
    return RegistryAnswer(200, body)


def _only_schema(found: RegistryAnswer) -> RegistryAnswer:
    if found.status != HTTPStatus.OK:
        return found
    return RegistryAnswer(200, json.loads(found.body["schema"]))


def _error(status: int, code: int, message: str) -> RegistryAnswer:
    return RegistryAnswer(status, {"error_code": code, "message": message})
