"""Answers which evidence joined nobody, and what would resolve it."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from customeros.serving.answers import answer
from customeros.serving.identity.inquiry import Door
from customeros.serving.identity.words import apart, obstacle_of
from customeros.serving.paging import read_limit
from customeros.serving.render import time_text

MAX_CONFLICTS: Final = 1_000


class ConflictAnswers:
    """The newest conflicts of a workspace."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, request: Request) -> Response:
        """`GET /v1/identity/conflicts`."""
        asked = self._door.enter(request)
        limit = read_limit(request, usual=100, most=MAX_CONFLICTS)
        refused = self._door.know.links.refused(asked.workspace.name)
        shown = refused[:limit]
        names, graph = asked.names_in(shown), asked.graph
        return answer(
            {
                "conflicts": [
                    {
                        **apart(obstacle_of(link)),
                        "at": time_text(link.version),
                        "a": names.get(link.a, f"({link.a})"),
                        "b": names.get(link.b, f"({link.b})") if link.b else None,
                        "a_customer": graph.customer(link.a),
                        "b_customer": graph.customer(link.b) if link.b else None,
                    }
                    for link in shown
                ],
                "total": len(refused),
            }
        )
