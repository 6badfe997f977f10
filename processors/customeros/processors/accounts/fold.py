"""Fold events into what their identifier says of the organisation that they name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from customeros.processors.accounts.model import ACCOUNT_ID_CHARACTERS, Part
from customeros.processors.profile.bounds import CONTRIBUTION_BYTES, fitted_profile
from customeros.processors.profile.fold import fold
from customeros.processors.profile.model import NAME_CHARACTERS, Fact, First, TraitMark
from customeros.processors.profile.standing import (
    organisation_traits,
    says_closed,
    standing_of,
    with_standing,
)
from customeros.schemas.event import Event, Personal

_PARENTS: Final = ("parent_id", "parentId", "parent_account_id", "parentAccountId")
_FRAME_BYTES: Final = 2 * 1024  # of a part beside its profile


def fold_part(part: Part, facts: Iterable[Fact]) -> Part:
    """*part* with *facts*, which name its account and must not have been folded before."""
    standing, closed, parent = part.standing, part.closed, part.parent
    told = []
    for fact in facts:
        event = fact.event
        if event.identifier_keys:
            found = standing_of(event)
            standing = found if standing is None else with_standing(standing, found)
        if says_closed(event):
            mark = First(event.occurred_at, event.event_id[:NAME_CHARACTERS], event.source)
            closed = mark if closed is None else max(closed, mark)
        traits = organisation_traits(event)
        for name in _PARENTS:
            if name in traits:
                named = _parent(event, fact.priority, traits[name])
                parent = named if parent is None else max(parent, named)
        told.append(fact._replace(event=_of_organisation(event, traits)))
    return Part(fold(part.profile, told), standing, closed, parent)


def fitted_part(part: Part) -> Part:
    """*part* with as much of its lists, the newest first, as a record holds."""
    profile = fitted_profile(part.profile, max_bytes=CONTRIBUTION_BYTES - _FRAME_BYTES)
    return part if profile is part.profile else msgspec.structs.replace(part, profile=profile)


def _of_organisation(event: Event, traits: dict[str, str]) -> Event:
    """*event* as a customer's would be, were the organisation the customer."""
    return msgspec.structs.replace(
        event, kind="account", account_id=None, personal=Personal(traits=traits)
    )


def _parent(event: Event, priority: int, text: str) -> TraitMark:
    """An id that is no text or number, or is too long, is none."""
    try:
        value = str(msgspec.json.decode(text, type=str | int)).strip()
    except msgspec.DecodeError:
        value = ""
    if len(value) > ACCOUNT_ID_CHARACTERS:
        value = ""
    event_id = event.event_id[:NAME_CHARACTERS]
    return TraitMark(event.occurred_at, priority, event_id, event.source, value)
