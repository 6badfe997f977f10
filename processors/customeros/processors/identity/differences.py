"""What differs between two sets of rules, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from customeros.processors.identity.rules import Rules

# Keys say nothing to people; the values and patterns they come from are compared.
_UNTOLD: Final = frozenset({"workspace", "blocked"})


class Difference(NamedTuple):
    """
    One rule that is another one then.

    Args:
        rule: its path, such as `identifiers.types.email.limit`.
        now, then: as in JSON; None: it is not said, so a default holds.
    """

    rule: str
    now: Any
    then: Any


def differences(now: Rules, then: Rules) -> list[Difference]:
    """In order of the rules' paths."""
    one, other = dict(_said(now)), dict(_said(then))
    return [
        Difference(rule, one.get(rule), other.get(rule))
        for rule in sorted({*one, *other})
        if one.get(rule) != other.get(rule)
    ]


def _said(rules: Rules) -> Iterator[tuple[str, Any]]:
    told = msgspec.to_builtins(rules, order="deterministic")
    return _flat({name: value for name, value in told.items() if name not in _UNTOLD})


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
