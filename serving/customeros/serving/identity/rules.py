"""Answers which rules hold and held, and makes others hold."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from customeros.processors.configured import toml_of
from customeros.processors.identity.differences import differences
from customeros.processors.identity.public import RULES
from customeros.processors.identity.rules import Rules, rules_from, text_of
from customeros.schemas.identity import Adoption, Evidence, EvidenceKind, IdentityChange
from customeros.serving.answers import Refused, answer
from customeros.serving.identity.inquiry import Door
from customeros.serving.identity.orders import read_order, read_reason
from customeros.serving.identity.proposed import Proposal
from customeros.serving.identity.taken import once_taken
from customeros.serving.identity.what_if import WhatIfAnswers
from customeros.serving.render import time_text


class AdoptOrder(Proposal, kw_only=True):
    """
    Args:
        after: the version that was in force when these were chosen; None: whichever is.
    """

    why: str
    by: str = "api"
    after: int | None = None


class RulesAnswers:
    """Rules that are adopted hold for evidence of the past, too."""

    def __init__(self, door: Door, what_if: WhatIfAnswers) -> None:
        self._door = door
        self._know = door.know
        self._what_if = what_if

    async def rules(self, request: Request) -> Response:
        """`GET /v1/identity/rules`; with `?version=N` one of them, in full."""
        asked = self._door.enter(request)
        adopted = self._know.changes.rules(asked.workspace.name)
        version = request.query_params.get("version")
        if version is None:
            rules = [rules_from(one.text, one.workspace) for one in adopted]
            before = [*rules, Rules(workspace=asked.workspace.name)][1:]
            told = zip(adopted, before, rules, strict=True)
            return answer({"rules": [_told(*one) for one in told]})
        for one in adopted:
            if str(one.version) == version:
                found = rules_from(one.text, one.workspace)
                return answer({"version": one.version, "rules": found, "toml": toml_of(found)})
        raise Refused(404, "unknown_version", "no rules of this version were adopted")

    async def adopt(self, request: Request) -> Response:
        """`POST /v1/identity/rules`."""
        asked = self._door.enter(request)
        order = await read_order(request, AdoptOrder)
        why = read_reason(order.why, order.by)
        if order.after is not None and order.after != asked.rules_version:
            raise _overtaken()
        then = await self._what_if.alone(partial(self._what_if.proposed, asked, order))
        if not differences(asked.rules, then):
            raise Refused(409, "nothing_to_adopt", "these are the rules in force")
        said = Adoption(
            version=asked.rules_version + 1,
            text=text_of(then),
            by=order.by,
            why=why,
            made_at=int(time.time() * 1000),
        )
        workspace = asked.workspace.name
        await self._know.tell(Evidence(workspace=workspace, kind=EvidenceKind.RULES, rules=said))
        taken = await once_taken(lambda: asked.change(f"{RULES}-{said.version}"))
        if taken is not None and (taken.text, taken.made_at) != (said.text, said.made_at):
            raise _overtaken()
        return answer({"version": said.version, "effective": taken is not None})


def _overtaken() -> Refused:
    return Refused(409, "overtaken", "somebody adopted other rules meanwhile: look again")


def _told(one: IdentityChange, before: Rules, rules: Rules) -> dict[str, Any]:
    return {
        "version": one.version,
        "by": one.by,
        "why": one.why,
        "made_at": time_text(one.made_at),
        "differences": [found._asdict() for found in differences(before, rules)],
    }
