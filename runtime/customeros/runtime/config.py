"""Configuration as code: `customeros.toml`, typed; a mistake is told with line and remedy."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from customeros.runtime.errors import Misconfigured
from customeros.runtime.secrets import Secrets, read_secrets
from customeros.runtime.settings import Settings
from customeros.schemas.identifier import (
    BUILT_IN_TYPES,
    MAX_DEGREE,
    MAX_MEMBERS,
    NORMALISERS,
    OTHER_SYSTEM,
    IdentifierRules,
    IdentifierType,
    is_type,
    meant_type,
)
from customeros.schemas.identity import STRENGTHS, Strength

DEFAULT_FILE: Final = Path("customeros.toml")
DEFAULT_WORKSPACE: Final = "default"
DEFAULT_SOURCE: Final = "demo"
_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
Name = Annotated[str, Field(pattern=_NAME)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Source(NamedTuple):
    """Where events of one kind of client come from."""

    workspace: str
    name: str
    write_keys: tuple[str, ...]
    priority: int = 0  # of two values of a trait from the same moment, the higher source's stays
    default_currency: str | None = None
    strengths: Mapping[str, Strength] = {}  # by rule, where it differs from the workspace's


class Workspace(NamedTuple):
    """
    One company's customers; nothing is shared between workspaces.

    Args:
        suggestions_consent: the purpose that a customer must have granted to be compared with
            others for suggestions; None: anybody is.
        strengths: by rule, where they differ from `STRENGTHS`.
        members: identifiers that one customer may have.
    """

    name: str
    identifiers: IdentifierRules = IdentifierRules()
    sources: Mapping[str, Source] = {}
    default_currency: str | None = None
    suggestions_consent: str | None = None
    strengths: Mapping[str, Strength] = {}
    members: int = MAX_MEMBERS


class Config:
    """All workspaces, and which source a write key belongs to."""

    def __init__(self, workspaces: Mapping[str, Workspace]) -> None:
        self.workspaces = workspaces
        self._by_key = {
            _fingerprint(key): (key, source)
            for workspace in workspaces.values()
            for source in workspace.sources.values()
            for key in source.write_keys
        }

    def source_by_write_key(self, write_key: str) -> Source | None:
        """The source of *write_key*; takes as long for a wrong key as for a right one."""
        known, source = self._by_key.get(_fingerprint(write_key), ("", None))
        same = hmac.compare_digest(known.encode(), write_key.encode("utf-8", "surrogatepass"))
        return source if same else None


def read_config(settings: Settings) -> Config:
    """
    The configuration in force: the file, or one workspace with one source.

    Raises:
        Misconfigured: one line for each mistake: file, line, what is wrong, what to write.
    """
    secrets = read_secrets(settings)
    path = settings.config or DEFAULT_FILE
    if not path.exists():
        if settings.config:
            raise Misconfigured(f"CUSTOMEROS_CONFIG={path}: there is no such file")
        source = Source(DEFAULT_WORKSPACE, DEFAULT_SOURCE, (secrets.write_key,))
        return Config(
            {DEFAULT_WORKSPACE: Workspace(DEFAULT_WORKSPACE, sources={DEFAULT_SOURCE: source})}
        )
    return parse_config(path.read_text(), name=str(path), secrets=secrets, environment=os.environ)


def parse_config(
    text: str, *, name: str, secrets: Secrets, environment: Mapping[str, str]
) -> Config:
    """The configuration that *text* says; *name* is its file's, for the errors."""
    write_key = partial(_write_key, secrets, environment)
    return Config(_workspaces(text, name, _Document, write_key))


def parse_rules(text: str, *, name: str) -> Mapping[str, Workspace]:
    """
    The workspaces of a configuration as it would be, or of its rules alone, without sources.

    No secret is looked for: write keys are empty.

    Raises:
        Misconfigured: as of a configuration.
    """
    return _workspaces(text, name, _Rules, lambda *_: "")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _known_rule(name: str) -> str:
    if name not in STRENGTHS:
        close = difflib.get_close_matches(name, STRENGTHS, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(STRENGTHS)}"
        raise ValueError(f"no rule is called so; {remedy}")
    return name


_Strengths = dict[
    Annotated[str, AfterValidator(_known_rule)], Annotated[int, Field(strict=True, ge=0, le=3)]
]


class _IdentifierType(_Section):
    normaliser: str | None = None
    limit: int | None = Field(None, ge=1)
    degree: int | None = Field(None, ge=1, le=MAX_DEGREE)
    priority: int | None = None

    @field_validator("normaliser")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in NORMALISERS:
            raise ValueError(f"must be one of {', '.join(sorted(NORMALISERS))}")
        return value


class _Blocked(_Section):
    values: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    @field_validator("patterns")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return value


class _Source(_Section):
    write_key: str | None = None
    priority: int = 0
    default_currency: Currency | None = None
    strengths: _Strengths = {}


class _Suggestions(_Section):
    consent: Annotated[str, Field(min_length=1)] | None = None


class _Workspace(_Section):
    default_currency: Currency | None = None
    default_region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    members: int = Field(MAX_MEMBERS, ge=1, le=MAX_MEMBERS)
    strengths: _Strengths = {}
    identifiers: dict[str, _IdentifierType] = {}
    blocked: _Blocked = _Blocked()
    suggestions: _Suggestions = _Suggestions()
    sources: dict[Name, _Source] = Field(min_length=1)


class _Document(_Section):
    workspaces: dict[Name, _Workspace] = Field(min_length=1)


class _RulesOfWorkspace(_Workspace):
    sources: dict[Name, _Source] = {}


class _Rules(_Section):
    workspaces: dict[Name, _RulesOfWorkspace] = Field(min_length=1)


class _Unresolved(Exception):
    def __init__(self, path: tuple[str, ...], problem: str) -> None:
        super().__init__(problem)
        self.path = path


def _workspaces(
    text: str,
    name: str,
    kind: type[_Document | _Rules],
    write_key: Callable[[str, str, _Source], str],
) -> dict[str, Workspace]:
    try:
        document = kind.model_validate(tomllib.loads(text))
        return {n: _workspace(n, w, partial(write_key, n)) for n, w in document.workspaces.items()}
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{name}: not valid TOML: {error}") from None
    except ValidationError as error:
        mistakes = [_mistake(text, name, dict(e)) for e in error.errors()]
        raise Misconfigured("\n".join(mistakes)) from None
    except _Unresolved as error:
        raise Misconfigured(f"{name}:{_line_of(text, error.path)}: {error}") from None


def _workspace(name: str, found: _Workspace, write_key: Callable[[str, _Source], str]) -> Workspace:
    rules = IdentifierRules(
        types={
            **BUILT_IN_TYPES,
            **{n: _identifier_type(name, n, said) for n, said in found.identifiers.items()},
        },
        blocked_values=frozenset(value.strip().lower() for value in found.blocked.values),
        blocked_patterns=found.blocked.patterns,
        default_region=found.default_region,
    )
    sources = {
        n: Source(
            name,
            n,
            (write_key(n, source),),
            source.priority,
            source.default_currency or found.default_currency,
            _strengths(source.strengths),
        )
        for n, source in found.sources.items()
    }
    return Workspace(
        name,
        rules,
        sources,
        found.default_currency,
        found.suggestions.consent,
        _strengths(found.strengths),
        found.members,
    )


def _strengths(said: Mapping[str, int]) -> dict[str, Strength]:
    return {rule: Strength(strength) for rule, strength in said.items()}


def _identifier_type(workspace: str, name: str, said: _IdentifierType) -> IdentifierType:
    path = ("workspaces", workspace, "identifiers", name)
    if not is_type(name):
        raise _Unresolved(path, f"{name!r} is no identifier type: write it as loyalty_card")
    meant = meant_type(name, BUILT_IN_TYPES)
    if meant and said.normaliser is None:
        raise _Unresolved(
            path,
            f"{name} is no type that is built in; did you mean {meant}? "
            "A type of your own with such a name says its normaliser.",
        )
    changes = said.model_dump(exclude_none=True)
    return msgspec.structs.replace(BUILT_IN_TYPES.get(name, OTHER_SYSTEM), **changes)


def _write_key(
    secrets: Secrets, environment: Mapping[str, str], workspace: str, name: str, source: _Source
) -> str:
    said = source.write_key
    path = ("workspaces", workspace, "sources", name, "write_key")
    if said is None:
        if (workspace, name) == (DEFAULT_WORKSPACE, DEFAULT_SOURCE):
            return secrets.write_key
        return secrets.source_key(workspace, name)
    scheme, _, where = said.partition(":")
    if scheme == "env":
        if not environment.get(where):
            raise _Unresolved(path, f"the environment variable {where} is not set")
        return environment[where]
    if scheme == "file":
        try:
            return Path(where).read_text().strip()
        except OSError as error:
            raise _Unresolved(path, f"{where} cannot be read: {error.strerror}") from None
    raise _Unresolved(
        path, 'secrets do not belong here: write "env:NAME" or "file:PATH", or leave it out'
    )


def _mistake(text: str, name: str, error: dict[str, Any]) -> str:
    path = tuple(str(part) for part in error["loc"] if part != "[key]")
    line = _line_of(text, path)
    if error["type"] == "extra_forbidden":
        allowed = _fields_at(path[:-1])
        close = difflib.get_close_matches(path[-1], allowed, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"known here: {', '.join(allowed)}"
        return f"{name}:{line}: {'.'.join(path)} is unknown; {remedy}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}:{line}: {'.'.join(path)}: {message[:1].lower()}{message[1:]}"


def _fields_at(path: tuple[str, ...]) -> list[str]:
    """The names that may stand in the table at *path*."""
    by_depth: dict[tuple[int, str], type[BaseModel]] = {
        (0, ""): _Document,
        (2, ""): _Workspace,
        (3, "blocked"): _Blocked,
        (3, "suggestions"): _Suggestions,
        (4, "identifiers"): _IdentifierType,
        (4, "sources"): _Source,
    }
    model = by_depth.get((len(path), path[2] if len(path) > 2 else ""))
    return list(model.model_fields) if model else []


def _line_of(text: str, path: tuple[str, ...]) -> int:
    """The line where the longest known part of *path* is written; 1 if none is."""
    best, line = 0, 1
    for number, found in _written(text):
        if best < len(found) and found == path[: len(found)]:
            best, line = len(found), number
    return line


def _written(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each table and key of a TOML text with its line, from 1."""
    table: tuple[str, ...] = ()
    for number, row in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+([^\]]+)\]+", row):
            table = _parts(header[1])
            yield number, table
        elif key := re.match(r"""\s*((?:"[^"]*"|'[^']*'|[\w.-])+)\s*=""", row):
            yield number, (*table, *_parts(key[1]))


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(
        part.strip().strip("\"'") for part in re.findall(r'"[^"]*"|\'[^\']*\'|[^.]+', dotted)
    )


def _fingerprint(write_key: str) -> bytes:
    return hashlib.sha256(write_key.encode("utf-8", "surrogatepass")).digest()
