"""The real application over a small world that is made of dicts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import date

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from customeros.runtime.config import Workspace
from customeros.schemas.customer import CustomerState
from customeros.schemas.identity import Assignment
from customeros.sdk import Customers
from customeros.serving.app import build_api
from customeros.serving.customers import Knowledge
from customeros.serving.registry import ReadOnlyRegistry
from support.customers import WORKSPACE, WORKSPACE_KEY, copy_of
from support.events import ListedEvents
from support.waiting import until

TOKEN = "tok_test"  # noqa: S105 - of a test


class World:
    """What the application knows; tests change it while it runs."""

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}
        self.assignments: dict[bytes, bytes] = {}
        self.events = ListedEvents()
        self.ready = True

    def know(self, *values: CustomerState | Assignment) -> None:
        for value in values:
            copy = self.states if isinstance(value, CustomerState) else self.assignments
            copy.update(copy_of(value))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def app(world: World) -> Starlette:
    return build_api(
        Knowledge(
            customers=Customers(world.states, world.assignments),
            events=world.events,
            ready=lambda: world.ready,
            workspaces={WORKSPACE: Workspace(WORKSPACE), "other": Workspace("other")},
            workspace_key=lambda name: WORKSPACE_KEY,
            token=TOKEN,
            today=lambda: date(2026, 1, 7),
        ),
        ReadOnlyRegistry(),
        health=lambda: {"customer-state": world.ready, "identity.assignments": True},
    )


@pytest.fixture
def new_client(app: Starlette) -> Callable[..., TestClient]:
    """Clients of the application: with the right token, or with the headers that are given."""

    def build(**headers: str) -> TestClient:
        given = headers or {"Authorization": f"Bearer {TOKEN}"}
        return TestClient(app, headers=given, base_url="http://127.0.0.1")

    return build


@pytest.fixture
def client(new_client: Callable[..., TestClient]) -> TestClient:
    return new_client()


@pytest.fixture
def api_url(app: Starlette) -> Iterator[str]:
    """The application on a port of its own."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    until(lambda: server.started, what="the API to listen")
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()
