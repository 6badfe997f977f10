"""Which path about identity is answered by what."""

from __future__ import annotations

from starlette.routing import Route

from customeros.serving.customers import CustomerAnswers
from customeros.serving.identity.by_hand import ByHandAnswers
from customeros.serving.identity.conflicts import ConflictAnswers
from customeros.serving.identity.inquiry import Door, IdentityKnowledge
from customeros.serving.identity.rules import RulesAnswers
from customeros.serving.identity.suggestions import SuggestionAnswers
from customeros.serving.identity.what_if import WhatIfAnswers
from customeros.serving.identity.why import WhyAnswers


def identity_routes(customers: CustomerAnswers, know: IdentityKnowledge) -> list[Route]:
    """The first is a path of a customer, to be asked before the others of a customer."""
    door = Door(customers, know)
    why, made, what_if = WhyAnswers(door), ByHandAnswers(door), WhatIfAnswers(door)
    rules = RulesAnswers(door, what_if)
    return [
        Route("/v1/customers/{who}/evidence", why.evidence),
        Route("/v1/why", why.why),
        Route("/v1/identity/conflicts", ConflictAnswers(door).__call__),
        Route("/v1/identity/suggestions", SuggestionAnswers(door).__call__),
        Route("/v1/identity/suggestions/accept", made.accept, methods=["POST"]),
        Route("/v1/identity/suggestions/refuse", made.refuse, methods=["POST"]),
        Route("/v1/identity/what-if", what_if.__call__, methods=["POST"]),
        Route("/v1/identity/rules", rules.rules),
        Route("/v1/identity/rules", rules.adopt, methods=["POST"]),
        Route("/v1/identity/changes", made.changes),
        Route("/v1/identity/split", made.split, methods=["POST"]),
        Route("/v1/identity/join", made.join, methods=["POST"]),
        Route("/v1/identity/undo", made.undo, methods=["POST"]),
    ]
