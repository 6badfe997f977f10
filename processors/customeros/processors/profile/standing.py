"""How an identifier stands to an organisation, as its events tell; and how several make one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from customeros.processors.profile.model import (
    NAME_CHARACTERS,
    Role,
    Said,
    Standing,
)
from customeros.schemas.event import Event

_JOINED: Final = frozenset(
    {
        *("groupjoined", "accountjoined", "accountaddeduser", "groupaddeduser"),
        *("accountuseradded", "groupuseradded", "accountmemberadded", "groupmemberadded"),
    }
)
_LEFT: Final = frozenset(
    {
        *("groupleft", "accountleft", "accountremoveduser", "groupremoveduser"),
        *("accountuserremoved", "groupuserremoved", "accountmemberremoved", "groupmemberremoved"),
    }
)
_CLOSED: Final = frozenset({"accountdeleted", "groupdeleted", "accountclosed", "groupclosed"})
_properties: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text: Final = msgspec.json.Decoder(str).decode


def standing_of(event: Event) -> Standing:
    """
    What *event* says of its person and the organisation that it names.

    Only some events say that somebody joined or left. Any other makes a member of whom nothing
    was said, and brings back nobody who left.
    """
    joined, left = says_joined(event), says_left(event)
    at, event_id = event.occurred_at, event.event_id[:NAME_CHARACTERS]
    role = role_of(event) if joined else None
    return Standing(
        Said(joined or left, at, left, event_id, event.source),
        at,
        at,
        None if role is None else Role(at, event_id, role),
    )


def says_joined(event: Event) -> bool:
    return event.kind == "group" or (event.kind == "track" and _bare(event.name) in _JOINED)


def says_left(event: Event) -> bool:
    return event.kind == "track" and _bare(event.name) in _LEFT


def says_closed(event: Event) -> bool:
    """Whether the organisation itself is gone."""
    return event.kind == "track" and _bare(event.name) in _CLOSED


def organisation_traits(event: Event) -> dict[str, str]:
    """The organisation's traits that a `group` call tells, as JSON texts; its `role` is not one."""
    traits = _said(event) if event.kind == "group" else {}
    return {name: bytes(text).decode() for name, text in traits.items() if name != "role"}


def role_of(event: Event) -> str | None:
    """The role that the person has there, where the event gives one."""
    try:
        role = _text(_said(event).get("role", msgspec.Raw(b"null")))
    except msgspec.DecodeError:
        return None
    return role[:NAME_CHARACTERS] or None


def merged(standings: Iterable[Standing]) -> Standing:
    """One standing of several, in any order; there is at least one."""
    first, *others = standings
    for other in others:
        first = with_standing(first, other)
    return first


def with_standing(one: Standing, other: Standing) -> Standing:
    roles = [role for role in (one.role, other.role) if role is not None]
    return Standing(
        max(one.said, other.said),
        min(one.since, other.since),
        max(one.last_at, other.last_at),
        max(roles, default=None),
    )


def _said(event: Event) -> dict[str, msgspec.Raw]:
    try:
        return _properties(event.personal.properties) if event.personal else {}
    except msgspec.DecodeError:
        return {}


@lru_cache(maxsize=1024)
def _bare(name: str) -> str:
    """`Group Left`, `group_left` and `GroupLeft` alike."""
    return "".join(character for character in name.lower() if character.isalpha())
