"""How far evidence goes, and how much of what one customer may have: the rules of a workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from customeros.schemas.identifier import (
    BUILT_IN_TYPES,
    MAX_DEGREE,
    MAX_MEMBERS,
    NORMALISERS,
    IdentifierRules,
    is_type,
)
from customeros.schemas.identity import STRENGTHS, Strength

USER_ID: Final = "user_id"

# A rules record, with the keys that it blocks, stays under 256 kB.
MAX_BLOCKED: Final = 10_000
_SEEN: Final[Mapping[str, str]] = {
    rule.removeprefix("seen_"): rule for rule in STRENGTHS if rule.startswith("seen_")
}


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


def text_of(rules: Rules) -> str:
    """The rules as evidence carries them: JSON, the same for equal rules."""
    return _ENCODER.encode(rules).decode()


def rules_from(text: str, workspace: str) -> Rules:
    """
    What `text_of` wrote for *workspace*.

    Raises:
        ValueError: it cannot be read, is another workspace's, or says what nobody knows; which
            of these, without personal data.
    """
    try:
        rules = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("rules that cannot be read") from None
    if rules.workspace != workspace:
        raise ValueError("rules of another workspace")
    for problem in _problems(rules):
        raise ValueError(problem)
    return rules


def _problems(rules: Rules) -> Iterator[str]:
    for name, kind in rules.identifiers.types.items():
        if not is_type(name):
            yield "an identifier type that is none"
        if kind.normaliser not in NORMALISERS:
            yield f"type {name} has a normaliser that nobody knows"
        if kind.limit is not None and kind.limit < 1:
            yield f"type {name} has a limit below 1"
        if not 1 <= kind.degree <= MAX_DEGREE:
            yield f"type {name} has a degree that is not from 1 to {MAX_DEGREE}"
    for rule in {rule for said in (rules.strengths, *rules.sources.values()) for rule in said}:
        if rule not in STRENGTHS:
            yield f"no rule is called {rule[:40]!r}; known: {', '.join(STRENGTHS)}"
    if not 1 <= rules.members <= MAX_MEMBERS:
        yield f"members is not from 1 to {MAX_MEMBERS}"
    if len(rules.blocked) > MAX_BLOCKED:
        yield f"more than {MAX_BLOCKED} identifiers are blocked"


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


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_DECODER: Final = msgspec.json.Decoder(Rules)
