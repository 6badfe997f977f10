"""Answers what people changed, and changes it: split, join, refuse, undo."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from customeros.processors.identity import by_hand
from customeros.processors.identity.by_hand import Change, Impossible, fate_of
from customeros.schemas.identity import Evidence, IdentityChange
from customeros.serving.answers import Refused, answer
from customeros.serving.identity.inquiry import Door, Inquiry
from customeros.serving.identity.orders import read_order, read_reason
from customeros.serving.identity.taken import once_taken
from customeros.serving.render import time_text


class SplitOrder(msgspec.Struct, forbid_unknown_fields=True):
    customer: str
    identifiers: list[str]
    why: str
    by: str = "api"


class PairOrder(msgspec.Struct, forbid_unknown_fields=True):
    a: str
    b: str
    why: str
    by: str = "api"


class UndoOrder(msgspec.Struct, forbid_unknown_fields=True):
    change_id: str
    by: str = "api"


class ByHandAnswers:
    """A change that is refused changes nothing."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._know = door.know

    async def changes(self, request: Request) -> Response:
        """`GET /v1/identity/changes`."""
        asked = self._door.enter(request)
        made = self._know.changes.newest_first(asked.workspace.name)
        names = asked.names([key for one in made for key in (*one.left, *one.right)])
        return answer({"changes": [_change(asked, one, names) for one in made]})

    async def split(self, request: Request) -> Response:
        """`POST /v1/identity/split`."""
        asked = self._door.enter(request)
        order = await read_order(request, SplitOrder)
        side = asked.side(order.customer)
        leaving = [asked.key_of(text) for text in order.identifiers]
        change = _new_change("split", order.by, order.why)
        return await self._make(
            lambda: by_hand.split(asked.graph, side.members, leaving, change, asked.workspace.name)
        )

    async def join(self, request: Request) -> Response:
        """`POST /v1/identity/join`."""
        return await self._join(request, "join")

    async def accept(self, request: Request) -> Response:
        """`POST /v1/identity/suggestions/accept`."""
        return await self._join(request, "accept")

    async def refuse(self, request: Request) -> Response:
        """`POST /v1/identity/suggestions/refuse`."""
        asked = self._door.enter(request)
        order = await read_order(request, PairOrder)
        one, other = asked.side(order.a), asked.side(order.b)
        change = _new_change("refuse", order.by, order.why)
        return await self._make(
            lambda: by_hand.refuse(
                asked.graph, one.members, other.members, change, asked.workspace.name
            )
        )

    async def _join(self, request: Request, kind: str) -> Response:
        asked = self._door.enter(request)
        order = await read_order(request, PairOrder)
        graph, one, other = asked.graph, asked.side(order.a), asked.side(order.b)
        change = _new_change(kind, order.by, order.why)
        ends = (
            by_hand.endpoint(one.key, one.type, graph.epoch(one.key), one.first_seen_at),
            by_hand.endpoint(other.key, other.type, graph.epoch(other.key), other.first_seen_at),
        )
        return await self._make(
            lambda: by_hand.join(
                graph,
                ends,
                members=(one.members, other.members),
                types={**one.types, **other.types},
                rules=asked.rules,
                change=change,
            )
        )

    async def undo(self, request: Request) -> Response:
        """`POST /v1/identity/undo`."""
        asked = self._door.enter(request)
        order = await read_order(request, UndoOrder)
        made = asked.change(order.change_id)
        if made is None:
            raise Refused(404, "unknown_change", "no change has this id")
        ends = {
            key: (asked.type_of(key), asked.graph.epoch(key)) for key in (*made.left, *made.right)
        }
        return await self._make(lambda: by_hand.undo(made, order.by, _now(), ends))

    async def _make(self, decide: Callable[[], Evidence]) -> Response:
        """Tell what was decided, and wait until the graph has taken it."""
        try:
            evidence = decide()
        except Impossible as refusal:
            raise Refused(409, refusal.code, str(refusal)) from None
        await self._know.tell(evidence)
        change_id, version = _named(evidence)

        def taken() -> IdentityChange | None:
            made = self._know.changes.of(evidence.workspace, change_id)
            return made if made is not None and made.version >= version else None

        effective = await once_taken(taken) is not None
        return answer({"change_id": change_id, "effective": effective})


def _named(evidence: Evidence) -> tuple[str, int]:
    """Id and version of the change that *evidence* makes."""
    if evidence.cut is not None:
        return evidence.cut.cut_id, evidence.cut.version
    assert evidence.join is not None  # noqa: S101 - nothing else is decided here
    return evidence.join.change_id, evidence.join.version


def _change(asked: Inquiry, one: IdentityChange, names: Mapping[str, str]) -> dict[str, Any]:
    fate, detail = fate_of(asked.graph, one)
    return {
        "change_id": one.change_id,
        "kind": one.kind,
        "on": one.on,
        "fate": fate,
        "in_the_way": detail,
        "left": [names.get(key, f"({key})") for key in one.left],
        "right": [names.get(key, f"({key})") for key in one.right],
        "by": one.by,
        "why": one.why,
        "made_at": time_text(one.made_at),
        "undone_by": one.undone_by,
        "undone_at": None if one.on else time_text(one.version),
    }


def _new_change(kind: str, by: str, text: str) -> Change:
    return Change(f"{kind}-{secrets.token_hex(5)}", by, read_reason(text, by), _now())


def _now() -> int:
    return int(time.time() * 1000)
