"""Answers why: the evidence that makes two one customer, or what keeps them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from customeros.processors.identity.why import Obstacle, Why, evidence_of, why
from customeros.runtime.config import Workspace
from customeros.runtime.errors import Unavailable
from customeros.schemas.identifier import is_blocked, parse_identifier
from customeros.schemas.identity import IdentityLink, Refusal, Strength
from customeros.serving.answers import answer
from customeros.serving.identity.inquiry import Door, Inquiry
from customeros.serving.identity.words import apart, step_text
from customeros.serving.render import time_text


class WhyAnswers:
    """Of two customers, and all evidence of one."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._kept = door.know.events

    async def why(self, request: Request) -> Response:
        """`GET /v1/why?a=…&b=…`."""
        asked = self._door.enter(request)
        texts = [request.query_params.get(name, "") for name in ("a", "b")]
        blocked = [text for text in texts if _names_nobody(text, asked.workspace)]
        if blocked:
            obstacle = Obstacle(Refusal.BLOCKED, "", None)
            return answer({"together": False, "path": [], "apart": [apart(obstacle)]})
        one, other = (asked.side(text) for text in texts)
        types = {one.key: one.type, other.key: other.type}
        found = why(asked.graph, one.key, other.key, types, asked.rules)
        return answer(await self._why(asked, found))

    async def evidence(self, request: Request) -> Response:
        """`GET /v1/customers/WHO/evidence`."""
        asked = self._door.enter(request)
        side = asked.side(request.path_params["who"])
        links = evidence_of(asked.graph, side.members)
        events = await self._events(asked, links)
        names = asked.names_in(links)
        return answer(
            {
                "customer_id": asked.graph.customer(side.key),
                "evidence": [_step(asked, link, events, names) for link in links],
            }
        )

    async def _why(self, asked: Inquiry, found: Why) -> dict[str, Any]:
        links = [*found.path, *(one.link for one in found.apart if one.link is not None)]
        events = await self._events(asked, links)
        names = asked.names_in(links)
        return {
            "together": found.together,
            "path": [_step(asked, link, events, names) for link in found.path],
            "apart": [
                {
                    **apart(one),
                    "evidence": one.link and _step(asked, one.link, events, names),
                }
                for one in found.apart
            ],
        }

    async def _events(
        self, asked: Inquiry, links: Iterable[IdentityLink]
    ) -> dict[str, Mapping[str, Any]]:
        """Their events from ClickHouse; without it sentences say less."""
        told = [link for link in links if link.event_id]
        keys = {key for link in told for key in (link.a, link.b)}
        ids = {link.event_id for link in told}
        if not ids:
            return {}
        try:
            return await run_sync(lambda: self._kept.named(asked.workspace.name, keys, ids))
        except Unavailable:
            return {}


def _step(
    asked: Inquiry,
    link: IdentityLink,
    events: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, str],
) -> dict[str, Any]:
    change = None if link.change_id is None else asked.change(link.change_id)
    by_hand_only = change is not None
    return {
        "a": names.get(link.a, f"({link.a})"),
        "b": names.get(link.b, f"({link.b})"),
        "strength": int(Strength.EXPLICIT) if by_hand_only else link.strength,
        "rule": "join" if by_hand_only else link.rule,
        "source": change.by if change else link.source,
        "event_id": None if by_hand_only else link.event_id,
        "change_id": link.change_id,
        "occurred_at": time_text(change.made_at if change else link.occurred_at),
        "refused": link.refused,
        "text": step_text(link, events.get(link.event_id), change),
    }


def _names_nobody(text: str, workspace: Workspace) -> bool:
    """Whether *text* is of a type, but its value is blocked."""
    try:
        written = parse_identifier(text, workspace.identifiers)
    except ValueError:
        return False
    return is_blocked(written.value, workspace.identifiers)
