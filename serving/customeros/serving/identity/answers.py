"""Answers about identity: why, all evidence, conflicts, changes by hand, and making them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import anyio
import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from customeros.processors.identity import by_hand
from customeros.processors.identity.by_hand import Change, Impossible
from customeros.processors.identity.model import NEVER
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.why import Obstacle, Why, evidence_of, members_of, why
from customeros.runtime.config import Workspace
from customeros.runtime.errors import Unavailable
from customeros.schemas.codec import IDENTITY_CHANGE
from customeros.schemas.customer import KnownIdentifier
from customeros.schemas.identifier import Identifier, is_blocked, parse_identifier
from customeros.schemas.identity import Evidence, IdentityChange, IdentityLink, Refusal, Strength
from customeros.schemas.topics import topic_key
from customeros.sdk.lookup import Copy, Customers
from customeros.serving.answers import Refused, answer
from customeros.serving.customers import CustomerAnswers, try_again
from customeros.serving.identity.links import Links, WorkspaceGraph, changes_in
from customeros.serving.identity.words import obstacle_of, obstacle_text, remedy, step_text
from customeros.serving.reference import read_reference
from customeros.serving.render import time_text

MAX_CONFLICTS: Final = 1_000
_MAX_WHY_CHARACTERS: Final = 500
_MAX_BODY_BYTES: Final = 256 * 1024
_EFFECTIVE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
_Order = TypeVar("_Order", bound=msgspec.Struct)


class NamedEvents(Protocol):
    """Where events are kept."""

    def named(
        self, workspace: str, keys: Iterable[str], event_ids: Iterable[str]
    ) -> dict[str, Mapping[str, Any]]:
        """
        The events with these ids that have one of *keys* as their primary; blocks.

        Raises:
            Unavailable: no answer; try again.
        """


class IdentityKnowledge(NamedTuple):
    """
    What the answers come from.

    Args:
        tell: puts evidence on its topic, and waits until it is there.
    """

    links: Links
    changes: MutableMapping[bytes, bytes]
    assignments: Copy
    customers: Customers
    events: NamedEvents
    ready: Callable[[], bool]
    tell: Callable[[Evidence], Awaitable[None]]


class SplitOrder(msgspec.Struct, forbid_unknown_fields=True):
    customer: str
    identifiers: list[str]
    why: str
    by: str = "api"


class JoinOrder(msgspec.Struct, forbid_unknown_fields=True):
    a: str
    b: str
    why: str
    by: str = "api"


class UndoOrder(msgspec.Struct, forbid_unknown_fields=True):
    change_id: str
    by: str = "api"


class _Side(NamedTuple):
    """One of two that are asked about: a key of a customer, and what is known of it."""

    key: str
    type: str
    first_seen_at: int
    members: list[str]
    types: dict[str, str]


class IdentityAnswers:
    """The endpoints; a customer and a token are found as the customers' own answers find them."""

    def __init__(self, door: CustomerAnswers, know: IdentityKnowledge) -> None:
        self._door = door
        self._know = know

    async def why(self, request: Request) -> Response:
        """`GET /v1/why?a=…&b=…`."""
        workspace, graph = self._enter(request)
        texts = [request.query_params.get(name, "") for name in ("a", "b")]
        blocked = [text for text in texts if _names_nobody(text, workspace)]
        if blocked:
            obstacle = Obstacle(Refusal.BLOCKED, "", None)
            return answer({"together": False, "path": [], "apart": [self._apart(obstacle, {})]})
        one, other = (self._side(workspace, graph, text) for text in texts)
        types = {one.key: one.type, other.key: other.type}
        found = why(graph, one.key, other.key, types, _rules(workspace))
        return answer(await self._why(graph, found))

    async def evidence(self, request: Request) -> Response:
        """`GET /v1/customers/WHO/evidence`."""
        workspace, graph = self._enter(request)
        side = self._side(workspace, graph, request.path_params["who"])
        links = evidence_of(graph, side.members)
        events = await self._events(graph.workspace, links)
        names = self._names(graph, links)
        return answer(
            {
                "customer_id": graph.customer(side.key),
                "evidence": [self._step(graph, link, events, names) for link in links],
            }
        )

    async def conflicts(self, request: Request) -> Response:
        """`GET /v1/identity/conflicts`."""
        workspace, graph = self._enter(request)
        limit = _limit(request.query_params.get("limit", "100"))
        refused = self._know.links.refused(workspace.name)
        shown = refused[:limit]
        names = self._names(graph, shown)
        return answer(
            {
                "conflicts": [
                    {
                        **self._apart(obstacle_of(link), names),
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

    async def changes(self, request: Request) -> Response:
        """`GET /v1/identity/changes`."""
        workspace, graph = self._enter(request)
        made = [one for one in self._changes() if one.workspace == workspace.name]
        names = self._names_of(graph, [key for one in made for key in (*one.left, *one.right)])
        return answer({"changes": [_change(one, names) for one in made]})

    async def split(self, request: Request) -> Response:
        """`POST /v1/identity/split`."""
        workspace, graph = self._enter(request)
        order = await _order(request, SplitOrder)
        side = self._side(workspace, graph, order.customer)
        leaving = [self._key_of(workspace, text) for text in order.identifiers]
        change = _new_change("split", order.by, order.why)
        return await self._make(
            lambda: by_hand.split(graph, side.members, leaving, change, workspace.name)
        )

    async def join(self, request: Request) -> Response:
        """`POST /v1/identity/join`."""
        workspace, graph = self._enter(request)
        order = await _order(request, JoinOrder)
        one = self._side(workspace, graph, order.a)
        other = self._side(workspace, graph, order.b)
        change = _new_change("join", order.by, order.why)
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
                rules=_rules(workspace),
                change=change,
            )
        )

    async def undo(self, request: Request) -> Response:
        """`POST /v1/identity/undo`."""
        workspace, graph = self._enter(request)
        order = await _order(request, UndoOrder)
        raw = self._know.changes.get(topic_key(workspace.name, order.change_id))
        if raw is None:
            raise Refused(404, "unknown_change", "no change has this id")
        made = IDENTITY_CHANGE.decode(raw)
        ends = {
            key: (self._type(graph, key), graph.epoch(key)) for key in (*made.left, *made.right)
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
        name = topic_key(evidence.workspace, change_id)
        effective = False
        with anyio.move_on_after(_EFFECTIVE_SECONDS):
            while not (effective := self._taken(name, version)):
                await anyio.sleep(_LOOK_SECONDS)
        return answer({"change_id": change_id, "effective": effective})

    def _taken(self, name: bytes, version: int) -> bool:
        raw = self._know.changes.get(name)
        return raw is not None and IDENTITY_CHANGE.decode(raw).version >= version

    def _enter(self, request: Request) -> tuple[Workspace, WorkspaceGraph]:
        self._door.authenticate(request)
        workspace = self._door.workspace(request)
        if not self._know.ready():
            raise try_again("not_ready", "the evidence is still being read; try again")
        graph = WorkspaceGraph(
            workspace.name, self._know.links, self._know.assignments, self._changes
        )
        return workspace, graph

    def _changes(self) -> list[IdentityChange]:
        return changes_in(self._know.changes)

    def _side(self, workspace: Workspace, graph: WorkspaceGraph, text: str) -> _Side:
        who = read_reference(text, workspace.identifiers)
        state = self._door.find(workspace.name, who).state
        types = {known.key: known.type for known in state.identifiers}
        first = {known.key: known.first_seen_at for known in state.identifiers}
        if isinstance(who, Identifier):
            key: str = self._door.key(workspace.name, who)
            types[key] = who.type
        elif first:
            # The state may still list what an assignment has taken elsewhere.
            own = [known for known in first if graph.customer(known) == state.customer_id]
            key = min(own or first, key=lambda known: (first[known], known))
        else:
            raise Refused(404, "unknown_customer", "nobody is known by this")
        now = graph.customer(key)
        mine = [known for known in types if graph.customer(known) == now]
        members = members_of(graph, {*mine, key})
        seen_at = first.get(key, NEVER)
        return _Side(key, types[key], seen_at, members, types)

    def _key_of(self, workspace: Workspace, text: str) -> str:
        who = read_reference(text, workspace.identifiers)
        if not isinstance(who, Identifier):
            raise Refused(400, "malformed_identifier", "name identifiers, as type:value")
        return self._door.key(workspace.name, who)

    def _type(self, graph: WorkspaceGraph, key: str) -> str:
        known = self._known(graph, key)
        if known is not None:
            return known.type
        return next((x.a_type if x.a == key else x.b_type for x in graph.links(key)), "")

    def _known(self, graph: WorkspaceGraph, key: str) -> KnownIdentifier | None:
        found = self._know.customers.by_id(graph.workspace, graph.customer(key))
        mine = found.state.identifiers if found is not None else ()
        return next((known for known in mine if known.key == key), None)

    def _names(self, graph: WorkspaceGraph, links: Iterable[IdentityLink]) -> dict[str, str]:
        return self._names_of(graph, [key for link in links for key in (link.a, link.b) if key])

    def _names_of(self, graph: WorkspaceGraph, keys: Iterable[str]) -> dict[str, str]:
        known = {key: self._known(graph, key) for key in dict.fromkeys(keys)}
        return {key: f"{k.type}:{k.value}" for key, k in known.items() if k and k.value is not None}

    async def _why(self, graph: WorkspaceGraph, found: Why) -> dict[str, Any]:
        links = [*found.path, *(one.link for one in found.apart if one.link is not None)]
        events = await self._events(graph.workspace, links)
        names = self._names(graph, links)
        return {
            "together": found.together,
            "path": [self._step(graph, link, events, names) for link in found.path],
            "apart": [
                {
                    **self._apart(one, names),
                    "evidence": one.link and self._step(graph, one.link, events, names),
                }
                for one in found.apart
            ],
        }

    async def _events(
        self, workspace: str, links: Iterable[IdentityLink]
    ) -> dict[str, Mapping[str, Any]]:
        """Their events from ClickHouse; without it sentences say less."""
        told = [link for link in links if link.event_id]
        keys = {key for link in told for key in (link.a, link.b)}
        ids = {link.event_id for link in told}
        if not ids:
            return {}
        try:
            return await run_sync(lambda: self._know.events.named(workspace, keys, ids))
        except Unavailable:
            return {}

    def _step(
        self,
        graph: WorkspaceGraph,
        link: IdentityLink,
        events: Mapping[str, Mapping[str, Any]],
        names: Mapping[str, str],
    ) -> dict[str, Any]:
        raw = (
            None
            if link.change_id is None
            else self._know.changes.get(topic_key(graph.workspace, link.change_id))
        )
        change = None if raw is None else IDENTITY_CHANGE.decode(raw)
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

    def _apart(self, one: Obstacle, names: Mapping[str, str]) -> dict[str, Any]:
        return {
            "reason": one.reason,
            "detail": one.detail,
            "text": obstacle_text(one),
            "remedy": remedy(one),
        }


def _named(evidence: Evidence) -> tuple[str, int]:
    """Id and version of the change that *evidence* makes."""
    if evidence.cut is not None:
        return evidence.cut.cut_id, evidence.cut.version
    assert evidence.join is not None  # noqa: S101 - nothing else is decided here
    return evidence.join.change_id, evidence.join.version


def _change(one: IdentityChange, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "change_id": one.change_id,
        "kind": one.kind,
        "on": one.on,
        "left": [names.get(key, f"({key})") for key in one.left],
        "right": [names.get(key, f"({key})") for key in one.right],
        "by": one.by,
        "why": one.why,
        "made_at": time_text(one.made_at),
        "undone_by": one.undone_by,
        "undone_at": None if one.on else time_text(one.version),
    }


def _names_nobody(text: str, workspace: Workspace) -> bool:
    """Whether *text* is of a type, but its value is blocked."""
    try:
        written = parse_identifier(text, workspace.identifiers)
    except ValueError:
        return False
    return is_blocked(written.value, workspace.identifiers)


def _rules(workspace: Workspace) -> Rules:
    return Rules(workspace=workspace.name, identifiers=workspace.identifiers)


def _new_change(kind: str, by: str, text: str) -> Change:
    if not text.strip() or len(text) > _MAX_WHY_CHARACTERS or len(by) > 100:
        raise Refused(
            400, "malformed_order", f"say why, in at most {_MAX_WHY_CHARACTERS} characters"
        )
    return Change(f"{kind}-{secrets.token_hex(5)}", by, text.strip(), _now())


async def _order(request: Request, kind: type[_Order]) -> _Order:
    body = await request.body()
    try:
        if len(body) > _MAX_BODY_BYTES:
            raise msgspec.ValidationError("too large")
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        fields = ", ".join(kind.__struct_fields__)
        raise Refused(400, "malformed_order", f"send a JSON object with {fields}") from None


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_CONFLICTS:
        raise Refused(400, "malformed_limit", f"limit is a number from 1 to {MAX_CONFLICTS}")
    return int(text)


def _now() -> int:
    return int(time.time() * 1000)
