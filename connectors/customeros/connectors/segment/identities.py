"""Who a call is about: its identifiers, normalised and keyed, the primary one first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from customeros.schemas.identifier import (
    MAX_VALUE_CHARACTERS,
    Identifier,
    IdentifierKey,
    IdentifierRules,
    identifier_key,
    is_type,
    normalise,
)

# One event links its primary identifier to each other one; no person has so many at once.
MAX_IDENTIFIERS: Final = 50
_LONGEST_TEXT: Final = 2 * MAX_VALUE_CHARACTERS


class Known(NamedTuple):
    """One identifier; the order is the order of primacy."""

    priority: int
    key: IdentifierKey
    identifier: Identifier


class Identities:
    """
    The identifiers of one workspace's events.

    Remembers the latest it has seen, since a customer's events come together and a phone
    number costs 40 µs to read.
    """

    def __init__(self, rules: IdentifierRules, workspace_key: bytes) -> None:
        self._rules = rules
        self._key = workspace_key
        self._remembered = lru_cache(16_384)(self._read)

    def of(self, candidates: Iterable[tuple[str, Any]]) -> list[Known]:
        """Each different identifier once, lowest priority first, ties by key."""
        found = {}
        for kind, value in candidates:
            if value is not None and (known := self._known(kind, value)) is not None:
                found[known.key] = known
        return sorted(found.values()) if len(found) > 1 else list(found.values())

    def _known(self, kind: str, value: object) -> Known | None:
        if isinstance(value, str):
            # Spaces around it are not counted against it.
            return self._remembered(kind, value) if len(value) <= _LONGEST_TEXT else None
        if isinstance(value, Decimal):
            value = float(value)
        return self._read(kind, value) if isinstance(value, int | float) else None

    def _read(self, kind: str, value: object) -> Known | None:
        found = normalise(kind, value, self._rules)
        if found is None:
            return None
        return Known(self._rules.type_of(kind).priority, identifier_key(self._key, found), found)


def candidates(
    kind: str,
    *,
    user_id: object,
    anonymous_id: object,
    previous_id: object,
    traits: Mapping[str, Any],
    properties: Mapping[str, Any],
    context: Mapping[str, Any],
) -> Iterator[tuple[str, Any]]:
    """
    Every (type, value as it came) of a call that may name its customer.

    Args:
        traits: the customer's, so not those of a group.
    """
    yield "user_id", user_id
    yield "anonymous_id", anonymous_id
    # The browser SDK aliases somebody who is logged in already to themselves.
    if previous_id is not None and previous_id != user_id:
        yield "anonymous_id", previous_id
    for name in ("email", "phone", "whatsapp_id"):
        yield name, traits.get(name)
    if kind in ("identify", "track"):
        yield "email", properties.get("email")
        yield "whatsapp_id", properties.get("whatsapp_id")
    if isinstance(device := context.get("device"), dict):
        yield "device_id", device.get("id")
    if isinstance(others := context.get("externalIds"), list):
        for other in others:
            if isinstance(other, dict):
                system = other.get("type")
                if isinstance(system, str) and is_type(system):
                    yield system, other.get("id")
