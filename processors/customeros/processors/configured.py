"""The rules of a workspace as customeros.toml has them."""

from __future__ import annotations

from customeros.processors.identity.rules import Rules
from customeros.runtime.config import Workspace
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
