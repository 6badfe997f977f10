"""Put the shipped schemas into a real registry, under the ids that the records carry."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.schemas.codec import ReleasedSchema, released_schemas
from customeros.schemas.topics import FIRST_GENERATION
from customeros.serving.registry.readonly import COMPATIBILITY, MEDIA_TYPE, schema_text, subjects

_SECONDS: Final = 10
_NOT_FOUND: Final = 404


class Reply(NamedTuple):
    status: int
    body: Any


class Registry(Protocol):
    """A registry's REST interface."""

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply: ...


class Registered(NamedTuple):
    """`new` is False where it had been there already."""

    subject: str
    version: int
    id: int
    new: bool


def register_schemas(
    url: str, *, topic_prefix: str = "", generation: int = FIRST_GENERATION
) -> list[Registered]:
    """
    `register` with the registry at *url*; user and password may be part of it.

    Raises:
        Misconfigured: see there.
        Unavailable: it cannot be reached, or fails itself.
    """
    return register(HttpRegistry(url), topic_prefix=topic_prefix, generation=generation)


def register(
    registry: Registry, *, topic_prefix: str = "", generation: int = FIRST_GENERATION
) -> list[Registered]:
    """
    Bring every released schema of every public topic into *registry*; twice changes nothing.

    A subject is in mode IMPORT only while its missing schemas are written, since only then does a
    registry take an id that is given. Afterwards it holds them to BACKWARD_TRANSITIVE.

    Raises:
        Misconfigured: a subject or an id is taken by something else, or the registry refuses.
    """
    schemas = sorted(released_schemas().values(), key=lambda s: s.version)
    return [
        result
        for subject, name in subjects(topic_prefix, generation)
        for result in _subject(registry, subject, [s for s in schemas if s.name == name])
    ]


def _subject(registry: Registry, subject: str, schemas: list[ReleasedSchema]) -> list[Registered]:
    missing = [schema for schema in schemas if not _is_there(registry, subject, schema)]
    if missing:
        # force: a subject that has some versions already is otherwise refused.
        _put(registry, f"/mode/{quote(subject)}?force=true", {"mode": "IMPORT"})
        try:
            for schema in missing:
                _import(registry, subject, schema)
        finally:
            _put(registry, f"/mode/{quote(subject)}", {"mode": "READWRITE"})
        _put(registry, f"/config/{quote(subject)}", {"compatibility": COMPATIBILITY})
    return [Registered(subject, s.version, s.id, s in missing) for s in schemas]


def _is_there(registry: Registry, subject: str, schema: ReleasedSchema) -> bool:
    path = f"/subjects/{quote(subject)}/versions/{schema.version}"
    reply = registry.ask("GET", path)
    if reply.status == _NOT_FOUND:
        return False
    found = _checked(reply, path)
    if found["id"] != schema.id or json.loads(found["schema"]) != schema.definition:
        raise Misconfigured(
            f"the registry holds another schema as {subject} version {schema.version} "
            f"(id {found['id']}, ours is {schema.id}): remove it, or use another registry"
        )
    return True


def _import(registry: Registry, subject: str, schema: ReleasedSchema) -> None:
    path = f"/subjects/{quote(subject)}/versions"
    body = {
        "schema": schema_text(schema),
        "schemaType": "AVRO",
        "version": schema.version,
        "id": schema.id,
    }
    reply = _checked(registry.ask("POST", path, body), path)
    if reply["id"] != schema.id:
        raise Misconfigured(
            f"the registry gave {subject} the id {reply['id']} instead of {schema.id}: "
            "it does not honour mode IMPORT"
        )


def _put(registry: Registry, path: str, body: Mapping[str, Any]) -> None:
    _checked(registry.ask("PUT", path, body), path)


def _checked(reply: Reply, path: str) -> Any:
    if reply.status >= 400:
        said = reply.body.get("message", "") if isinstance(reply.body, dict) else ""
        raise Misconfigured(f"the registry answers {reply.status} to {path}: {said}")
    return reply.body


class HttpRegistry:
    """A registry at a URL; user and password may be part of it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Misconfigured("CUSTOMEROS_REGISTRY__URL: write it as http://host:port")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            basic = base64.b64encode(pair.encode()).decode()
            self._headers["Authorization"] = f"Basic {basic}"

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """
        Raises:
            Unavailable: it cannot be reached, or fails itself.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_SECONDS)
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, self._path + path, data, self._headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("registry") from error
        finally:
            connection.close()
        if response.status >= 500:
            raise Unavailable("registry")
        try:
            return Reply(response.status, json.loads(text))
        except ValueError:
            return Reply(response.status, None)
