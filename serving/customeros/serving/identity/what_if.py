"""Answers what other rules would change; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from customeros.processors.identity.differences import differences
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.what_if import compare
from customeros.processors.profile.model import ConsentMark
from customeros.serving.answers import Refused, answer
from customeros.serving.identity.inquiry import Door, Inquiry
from customeros.serving.identity.orders import read_order
from customeros.serving.identity.proposed import Proposal, read_proposal, with_blocked
from customeros.serving.identity.trying import keys_told, what_if_told

MAX_FIRST: Final = 1_000
T = TypeVar("T")


class WhatIfOrder(Proposal, kw_only=True):
    """
    Args:
        first: so many of each kind are told by name.
    """

    first: int = 20


class WhatIfAnswers:
    """One at a time, in a thread: it goes through all that is stored and takes a core for it."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._know = door.know
        self._busy = False

    async def __call__(self, request: Request) -> Response:
        """`POST /v1/identity/what-if`."""
        asked = self._door.enter(request)
        order = await read_order(request, WhatIfOrder)
        if not 0 <= order.first <= MAX_FIRST:
            raise Refused(400, "malformed_order", f"first is a number from 0 to {MAX_FIRST}")
        return answer(await self.alone(partial(self._compared, asked, order)))

    async def alone(self, work: Callable[[], T]) -> T:
        """
        What *work* returns.

        Raises:
            Refused: 429, another one is at work.
        """
        if self._busy:
            raise Refused(
                429, "busy", "other rules are being tried; try again", headers={"Retry-After": "5"}
            )
        self._busy = True
        try:
            return await run_sync(work)
        finally:
            self._busy = False

    def proposed(self, asked: Inquiry, proposal: Proposal) -> Rules:
        """
        The rules of *proposal*, with all that they block of what is stored; blocks.

        Raises:
            Refused: 400, they cannot be read, or are another workspace's.
        """
        then = read_proposal(proposal, asked.workspace.name)
        states = partial(self._know.customers.active, asked.workspace.name)
        return with_blocked(then, asked.rules, states)

    def _compared(self, asked: Inquiry, order: WhatIfOrder) -> dict[str, Any]:
        now, then = asked.rules, self.proposed(asked, order)
        consents = partial(self._consents, asked.workspace.name)
        found = compare(asked.graph, now, then, consents=consents, first=order.first)
        return {
            "workspace": asked.workspace.name,
            "version": asked.rules_version,
            "differences": [one._asdict() for one in differences(now, then)],
            **what_if_told(found, asked.names(keys_told(found))),
        }

    def _consents(self, workspace: str, customer_id: str) -> dict[str, ConsentMark]:
        found = self._know.customers.by_id(workspace, customer_id)
        given = {} if found is None else found.state.consent
        return {
            purpose: ConsentMark(said.occurred_at, not said.granted, said.event_id, said.source)
            for purpose, said in given.items()
        }
