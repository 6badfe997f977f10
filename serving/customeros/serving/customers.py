"""Answers about customers: `/v1/customers/WHO` and `/v1/customers/WHO/events`."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from customeros.runtime.config import Workspace
from customeros.schemas.customer import Status
from customeros.schemas.identifier import CustomerId, Identifier, IdentifierKey, identifier_key
from customeros.sdk.lookup import Customers, Found
from customeros.serving import render
from customeros.serving.answers import Refused, answer
from customeros.serving.events import NEWEST, Events, cursor_text, read_cursor, whose
from customeros.serving.paging import read_limit
from customeros.serving.reference import PREFIX, nobody, read_path


class Knowledge(NamedTuple):
    """
    What the answers come from.

    Args:
        ready: whether the copies behind `customers` hold all there is.
        workspaces: the one that is meant without `?workspace=` comes first.
    """

    customers: Customers
    events: Events
    ready: Callable[[], bool]
    workspaces: Mapping[str, Workspace]
    workspace_key: Callable[[str], bytes]
    token: str
    today: Callable[[], date] = lambda: datetime.now(UTC).date()


class CustomerAnswers:
    """The endpoint of both paths."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._know = knowledge
        self._bearer = f"bearer {knowledge.token}".encode()
        self._default = next(iter(knowledge.workspaces))
        self._keys = {name: knowledge.workspace_key(name) for name in knowledge.workspaces}

    async def __call__(self, request: Request) -> Response:
        found, events = self._find(request)
        return await self._events(request, found) if events else self._tell(found)

    def straight(self, request: Request) -> Response:
        """
        The answer to a request that `goes_straight`, without waiting for anything.

        Raises:
            Refused: as it is answered.
        """
        found, _ = self._find(request)
        return self._tell(found)

    def _find(self, request: Request) -> tuple[Found, bool]:
        """Who is asked for, and whether it is their events."""
        self.authenticate(request)
        workspace = self.workspace(request)
        asked = read_path(request.scope["raw_path"], workspace.identifiers)
        return self.find(workspace.name, asked.who), asked.events

    def _tell(self, found: Found) -> Response:
        return answer(
            render.customer(found.record, today=self._know.today(), merged_from=found.merged_from)
        )

    def authenticate(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
        presented = f"{scheme.lower()} {token.strip()}".encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(presented, self._bearer):
            raise Refused(
                401,
                "unauthorized",
                "send `Authorization: Bearer TOKEN` with the API's token",
                headers={"WWW-Authenticate": 'Bearer realm="customeros"'},
            )

    def workspace(self, request: Request) -> Workspace:
        name = self._default
        if request.scope["query_string"]:
            name = request.query_params.get("workspace", name)
        workspace = self._know.workspaces.get(name)
        if workspace is None:
            raise Refused(404, "unknown_workspace", "there is no workspace of this name")
        return workspace

    def key(self, workspace: str, identifier: Identifier) -> IdentifierKey:
        """What stands for *identifier* in the topics."""
        return identifier_key(self._keys[workspace], identifier)

    def find(self, workspace: str, who: CustomerId | Identifier) -> Found:
        if not self._know.ready():
            raise try_again("not_ready", "the customers are still being read; try again")
        if isinstance(who, Identifier):
            found = self._know.customers.by_key(workspace, self.key(workspace, who))
        else:
            found = self._know.customers.by_id(workspace, who)
        if found is None:
            raise nobody(who, self._know.workspaces[workspace].identifiers)
        match found.status:
            case Status.ACTIVE:
                return found
            case Status.ERASED:
                raise Refused(410, "erased", "this customer was erased")
            case Status.MERGED:
                raise try_again("merging", "this customer is being merged; try again")

    async def _events(self, request: Request, found: Found) -> Response:
        limit = read_limit(request)
        before = request.query_params.get("before")
        cursor = NEWEST if before is None else read_cursor(before)
        state = found.state
        question = whose(state)

        def read() -> list[render.Row]:
            # One more than asked for tells whether there is another page.
            return self._know.events.before(question, cursor, limit=limit + 1)

        rows = await run_sync(read)
        page = rows[:limit]
        return answer(
            {
                "customer_id": state.customer_id,
                "events": [render.event(row) for row in page],
                "next": cursor_text(page[-1]) if len(rows) > limit else None,
            }
        )


def goes_straight(scope: Scope) -> bool:
    """Whether a request asks for one customer and nothing beside."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path: bytes = scope["raw_path"]
    return path.startswith(PREFIX) and path.find(b"/", len(PREFIX)) < 0


def try_again(code: str, message: str) -> Refused:
    return Refused(503, code, message, headers={"Retry-After": "1"})
