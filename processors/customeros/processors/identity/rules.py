"""How far evidence goes, and how much of what one customer may have: the rules of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from customeros.schemas.identifier import BUILT_IN_TYPES, IdentifierRules
from customeros.schemas.identity import Strength

USER_ID: Final = "user_id"

# Of its neighbours an identifier's record holds one more than its degree: 5,000 are 110 kB.
MAX_DEGREE: Final = 5_000
# Of one customer: its state and a look at all of its evidence stay within a batch's time.
MAX_MEMBERS: Final = 1_000

STRENGTHS: Final[Mapping[str, Strength]] = {
    "alias": Strength.EXPLICIT,
    "identify": Strength.LOGIN,
    "external_id": Strength.LOGIN,
    "seen_together": Strength.SEEN_TOGETHER,
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything that `resolve` takes besides evidence.

    Args:
        identifiers: types with their limit per customer and their degree.
        strengths: by the name of the rule that `strength` found.
        blocked: keys of identifiers that name nobody, beyond the values blocked at the edge.
        members: identifiers that one customer may have.
    """

    workspace: str
    identifiers: IdentifierRules = IdentifierRules()
    strengths: Mapping[str, Strength] = msgspec.field(default_factory=lambda: STRENGTHS)
    blocked: frozenset[str] = frozenset()
    members: int = MAX_MEMBERS

    def strength(self, kind: str, a_type: str, b_type: str) -> tuple[Strength, str]:
        """How far an event of *kind* goes that names both types, and the rule that says so."""
        rule = _rule(kind, a_type, b_type)
        return self.strengths.get(rule, STRENGTHS[rule]), rule

    def limit(self, type_name: str) -> int | None:
        """Identifiers of exactly this type that one customer may have; None: any number."""
        return self.identifiers.type_of(type_name).limit

    def degree(self, type_name: str) -> int:
        """Neighbours that an identifier of this type may have before it is quarantined."""
        return min(self.identifiers.type_of(type_name).degree, MAX_DEGREE)


def _rule(kind: str, a_type: str, b_type: str) -> str:
    if kind == "alias":
        return "alias"
    if USER_ID in (a_type, b_type):
        if kind == "identify":
            return "identify"
        other = b_type if a_type == USER_ID else a_type
        if other not in BUILT_IN_TYPES:
            return "external_id"
    return "seen_together"
