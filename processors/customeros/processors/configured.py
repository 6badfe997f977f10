"""The rules of a workspace as customeros.toml has them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from customeros.processors.identity.rules import Rules
from customeros.runtime.config import Workspace
from customeros.schemas.identifier import BUILT_IN_TYPES, OTHER_SYSTEM
from customeros.schemas.identity import STRENGTHS


def rules_of(workspace: Workspace) -> Rules:
    """What it blocks is blocked at the edge, so no keys are."""
    sources = workspace.sources.values()
    return Rules(
        workspace=workspace.name,
        identifiers=workspace.identifiers,
        strengths={**STRENGTHS, **workspace.strengths},
        sources={source.name: source.strengths for source in sources if source.strengths},
        members=workspace.members,
    )


def toml_of(rules: Rules) -> str:
    """
    What `customeros.toml` has to say for *rules*: what differs from the defaults.

    Keys that are blocked are not in it, but the values and patterns that they come from.
    """
    named = rules.identifiers
    workspace = ("workspaces", rules.workspace)
    defaults = Rules(workspace=rules.workspace)
    tables: dict[tuple[str, ...], dict[str, Any]] = {workspace: {}}
    if rules.members != defaults.members:
        tables[workspace]["members"] = rules.members
    if named.default_region is not None:
        tables[workspace]["default_region"] = named.default_region
    for name, kind in sorted(named.types.items()):
        usual = BUILT_IN_TYPES.get(name)
        if kind != usual:
            tables[*workspace, "identifiers", name] = {
                field: value
                for field, value in msgspec.structs.asdict(kind).items()
                if value != getattr(usual or OTHER_SYSTEM, field)
            }
    strengths = {rule: s for rule, s in rules.strengths.items() if s != STRENGTHS[rule]}
    if strengths:
        tables[*workspace, "strengths"] = strengths
    for source, own in sorted(rules.sources.items()):
        tables[*workspace, "sources", source, "strengths"] = dict(own)
    blocked = {"values": sorted(named.blocked_values), "patterns": list(named.blocked_patterns)}
    if any(blocked.values()):
        tables[*workspace, "blocked"] = {name: said for name, said in blocked.items() if said}
    return "\n".join(_table(path, said) for path, said in tables.items())


def _table(path: tuple[str, ...], said: Mapping[str, Any]) -> str:
    lines = [f"[{'.'.join(map(_key, path))}]"]
    lines += [f"{_key(name)} = {_value(value)}" for name, value in said.items()]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's strings and numbers are TOML's, but for one sign.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")
