"""Which rules a request proposes: as `customeros.toml` would say them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from customeros.processors.configured import rules_of
from customeros.processors.identity.rules import MAX_BLOCKED, Rules
from customeros.runtime.config import parse_rules
from customeros.runtime.errors import Misconfigured
from customeros.schemas.customer import CustomerState
from customeros.schemas.identifier import IdentifierRules, is_blocked
from customeros.serving.answers import Refused


class Proposal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """
    Args:
        toml: the text of a `customeros.toml`, or the part of it that says the rules.
        file: whose mistakes are told.
    """

    toml: str
    file: str = "customeros.toml"


def read_proposal(proposal: Proposal, workspace: str) -> Rules:
    """
    The rules as they are written; which stored identifiers they block is not known yet.

    Raises:
        Refused: 400, each mistake with its line.
    """
    try:
        found = parse_rules(proposal.toml, name=proposal.file)
    except Misconfigured as mistakes:
        raise Refused(400, "malformed_rules", str(mistakes)) from None
    if workspace not in found:
        raise Refused(
            400,
            "other_workspace",
            f"{proposal.file} has no [workspaces.{workspace}], but {', '.join(found)}",
        )
    return rules_of(found[workspace])


def with_blocked(then: Rules, now: Rules, states: Callable[[], Iterable[CustomerState]]) -> Rules:
    """
    *then* with the keys of all identifiers in *states* whose values it blocks.

    Raises:
        Refused: 400, there are too many.
    """
    if _blocking(then.identifiers) == _blocking(now.identifiers):
        return msgspec.structs.replace(then, blocked=now.blocked)
    blocked = frozenset(
        known.key
        for state in states()
        for known in state.identifiers
        if known.value is not None and is_blocked(known.value, then.identifiers)
    )
    if len(blocked) > MAX_BLOCKED:
        raise Refused(
            400, "malformed_rules", f"more than {MAX_BLOCKED:,} stored identifiers would be blocked"
        )
    return msgspec.structs.replace(then, blocked=blocked)


def _blocking(rules: IdentifierRules) -> tuple[frozenset[str], tuple[str, ...]]:
    return rules.blocked_values, rules.blocked_patterns
