"""The API: which path is answered by what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from customeros.runtime.errors import Unavailable
from customeros.runtime.metrics import REQUEST_SECONDS, REQUESTS, labelled
from customeros.serving.accounts import AccountAnswers, AccountKnowledge
from customeros.serving.answers import Refused, answer, failure, refused, unavailable
from customeros.serving.customers import CustomerAnswers, Knowledge, goes_straight
from customeros.serving.identity import IdentityKnowledge, identity_routes
from customeros.serving.registry import ReadOnlyRegistry

STAGE: Final = "api"
_REGISTRY_METHODS: Final = ["GET", "POST", "PUT", "DELETE"]


def build_api(
    knowledge: Knowledge,
    identity: IdentityKnowledge,
    accounts: AccountKnowledge,
    registry: ReadOnlyRegistry,
    *,
    health: Callable[[], Mapping[str, str]],
) -> ASGIApp:
    """
    The API as an ASGI application.

    Args:
        health: why each of what the API lives from is not up to date, in words, for `/readyz`;
            empty: it is.
    """

    async def healthz(request: Request) -> Response:
        return answer({"status": "alive"})

    async def readyz(request: Request) -> Response:
        found = health()
        told = {name: not trouble for name, trouble in found.items()}
        troubles = [f"{name} {trouble}" for name, trouble in found.items() if trouble]
        if not troubles:
            return answer({"ready": True, **told})
        return answer({"ready": False, "reason": "; ".join(troubles), **told}, status=503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    customers = CustomerAnswers(knowledge)
    evidence, *of_identity = identity_routes(customers, identity)
    app = Starlette(
        routes=[
            evidence,
            Route("/v1/customers/{who:path}", customers.__call__),
            *of_identity,
            Route("/v1/accounts/{account:path}", AccountAnswers(customers, accounts).__call__),
            Route("/registry", registry.__call__, methods=_REGISTRY_METHODS),
            Route("/registry/{path:path}", registry.__call__, methods=_REGISTRY_METHODS),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ],
        exception_handlers={
            Refused: refused,
            Unavailable: unavailable,
            HTTPException: _http_error,
        },
    )
    return Measured(Straight(app, customers))


class Straight:
    """
    Answers who asks for one customer by itself, and leaves all else to *app*.

    It is what is asked most, and Starlette takes as long to come to its endpoint as the whole rest.
    """

    def __init__(self, app: ASGIApp, customers: CustomerAnswers) -> None:
        self._app = app
        self._customers = customers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not goes_straight(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            response = self._customers.straight(request)
        except Refused as error:
            response = await refused(request, error)
        await response(scope, receive, send)


class Measured:
    """Counts and times requests by route; a route is one of a few, never a path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = route_of(scope["path"])
            labelled(REQUESTS, STAGE, route, status).inc()
            labelled(REQUEST_SECONDS, STAGE, route).observe(time.perf_counter() - started)


def route_of(path: str) -> str:
    """The metric label of a path."""
    if path.startswith("/v1/customers/"):
        return "customer_events" if path.endswith("/events") else "customer"
    if path.startswith("/v1/accounts/"):
        return "account"
    if path == "/v1/why" or path.startswith("/v1/identity/"):
        return "identity"
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return first if first in {"registry", "healthz", "readyz", "metrics"} else "other"


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    return failure(
        error.status_code, f"http_{error.status_code}", error.detail, headers=error.headers
    )
