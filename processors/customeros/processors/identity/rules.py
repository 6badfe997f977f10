"""How far evidence goes, and how much of what one customer may have: the rules of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from customeros.runtime.config import Workspace
from customeros.schemas.identifier import BUILT_IN_TYPES, IdentifierRules
from customeros.schemas.identity import STRENGTHS, Strength

USER_ID: Final = "user_id"

# Of its neighbours an identifier's record holds one more than its degree: 5,000 are 110 kB.
MAX_DEGREE: Final = 5_000
# Of one customer: its state and a look at all of its evidence stay within a batch's time.
MAX_MEMBERS: Final = 1_000

_SEEN: Final[Mapping[str, str]] = {
    rule.removeprefix("seen_"): rule for rule in STRENGTHS if rule.startswith("seen_")
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything that `resolve` takes besides evidence.

    Args:
        identifiers: types with their limit per customer and their degree.
        strengths: by the name of the rule that `rule_of` found.
        sources: of a source, by rule, where it differs from `strengths`.
        blocked: keys of identifiers that name nobody, beyond the values blocked at the edge.
        members: identifiers that one customer may have.
    """

    workspace: str
    identifiers: IdentifierRules = IdentifierRules()
    strengths: Mapping[str, Strength] = msgspec.field(default_factory=lambda: STRENGTHS)
    sources: Mapping[str, Mapping[str, Strength]] = {}
    blocked: frozenset[str] = frozenset()
    members: int = MAX_MEMBERS

    def strength_of(self, rule: str, source: str) -> Strength:
        """How far what *source* says by *rule* goes; a rule of nobody's only suggests."""
        own = self.sources.get(source)
        found = own.get(rule) if own else None
        if found is None:
            found = self.strengths.get(rule)
        return STRENGTHS.get(rule, Strength.SUGGESTED) if found is None else found

    def limit(self, type_name: str) -> int | None:
        """Identifiers of exactly this type that one customer may have; None: any number."""
        return self.identifiers.type_of(type_name).limit

    def degree(self, type_name: str) -> int:
        """Neighbours that an identifier of this type may have before it is quarantined."""
        return min(self.identifiers.type_of(type_name).degree, MAX_DEGREE)


def rules_of(workspace: Workspace) -> Rules:
    """The rules as customeros.toml has them."""
    return Rules(workspace=workspace.name, identifiers=workspace.identifiers)


def rule_of(kind: str, a_type: str, b_type: str) -> str:
    """What makes an event of *kind* that names both types evidence: a key of `STRENGTHS`."""
    if kind == "alias":
        return "alias"
    if USER_ID in (a_type, b_type):
        if kind == "identify":
            return "identify"
        other = b_type if a_type == USER_ID else a_type
        if other not in BUILT_IN_TYPES:
            return "external_id"
    return _SEEN.get(kind, "seen_track")
