"""The real application over a small world that is made of dicts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import date

import pytest
import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from customeros.processors.identity.model import Joined
from customeros.processors.identity.public import change_of, pair_name
from customeros.runtime.config import Workspace
from customeros.schemas.account import AccountState
from customeros.schemas.codec import (
    ACCOUNT_STATE,
    CUSTOMER_STATE,
    EVIDENCE,
    IDENTITY_CHANGE,
    IDENTITY_LINK,
)
from customeros.schemas.customer import CustomerState
from customeros.schemas.identity import Assignment, Evidence, IdentityChange, IdentityLink
from customeros.schemas.topics import topic_key
from customeros.sdk import Customers
from customeros.serving.accounts import AccountKnowledge
from customeros.serving.app import build_api
from customeros.serving.customers import Knowledge
from customeros.serving.identity import Changes, Comparisons, IdentityKnowledge, Links
from customeros.serving.identity.comparing import Compared, compare
from customeros.serving.registry import ReadOnlyRegistry
from support.customers import WORKSPACE, WORKSPACE_KEY, copy_of
from support.events import ListedEvents, ListedMembers
from support.waiting import until

TOKEN = "tok_test"  # noqa: S105 - of a test


class World:
    """What the application knows; tests change it while it runs."""

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}
        self.assignments: dict[bytes, bytes] = {}
        self.events = ListedEvents()
        self.accounts: dict[bytes, bytes] = {}
        self.lists = ListedMembers()
        self.ready = True
        self.links = Links()
        self.changes = Changes()
        self.told: list[Evidence] = []

    def know(self, *values: CustomerState | Assignment) -> None:
        for value in values:
            copy = self.states if isinstance(value, CustomerState) else self.assignments
            copy.update(copy_of(value))

    def organise(self, *accounts: AccountState) -> None:
        for one in accounts:
            self.accounts[topic_key(one.workspace, one.account_id)] = ACCOUNT_STATE.encode(one)

    def link(self, *links: IdentityLink) -> None:
        for one in links:
            name = topic_key(one.workspace, pair_name(one.a, one.b))
            self.links[name] = IDENTITY_LINK.encode(one)

    def change(self, *changes: IdentityChange) -> None:
        for one in changes:
            name = topic_key(one.workspace, one.change_id)
            self.changes[name] = IDENTITY_CHANGE.encode(one)

    def compare(self, workspace: str, consent: str | None) -> Compared:
        """As the process of its own would, from the topic."""
        states = map(CUSTOMER_STATE.decode, list(self.states.values()))
        return compare((one for one in states if one.workspace == workspace), consent)

    async def tell(self, evidence: Evidence) -> None:
        """As the graph would take it, at once."""
        self.told.append(EVIDENCE.decode(EVIDENCE.encode(evidence)))
        if evidence.rules is not None:
            self.change(change_of(evidence.rules, evidence.workspace))
        if evidence.cut is not None:
            self.change(change_of(evidence.cut, evidence.workspace))
        if evidence.join is not None:
            said = evidence.join
            joined = Joined(
                said.version,
                said.on,
                said.change_id,
                0,
                0,
                said.by,
                said.why,
                said.made_at,
                said.undone_by,
            )
            self.change(change_of(((said.a.key, said.b.key), joined), evidence.workspace))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def app(world: World) -> ASGIApp:
    customers = Customers(world.states, world.assignments)
    return build_api(
        Knowledge(
            customers=customers,
            events=world.events,
            ready=lambda: world.ready,
            workspaces={
                WORKSPACE: Workspace(WORKSPACE),
                "other": Workspace("other"),
                "careful": Workspace("careful", suggestions_consent="matching"),
            },
            workspace_key=lambda name: WORKSPACE_KEY,
            token=TOKEN,
            today=lambda: date(2026, 1, 7),
        ),
        IdentityKnowledge(
            links=world.links,
            changes=world.changes,
            assignments=world.assignments,
            customers=customers,
            events=world.events,
            ready=lambda: world.ready,
            tell=world.tell,
            comparisons=Comparisons(world.compare),
        ),
        AccountKnowledge(
            accounts=world.accounts,
            lists=world.lists,
            ready=lambda: world.ready,
            today=lambda: date(2026, 1, 7),
        ),
        ReadOnlyRegistry(),
        health=lambda: {
            "customer-state": "" if world.ready else "catches up",
            "identity.assignments": "",
        },
    )


@pytest.fixture
def new_client(app: ASGIApp) -> Callable[..., TestClient]:
    """Clients of the application: with the right token, or with the headers that are given."""

    def build(**headers: str) -> TestClient:
        given = headers or {"Authorization": f"Bearer {TOKEN}"}
        return TestClient(app, headers=given, base_url="http://127.0.0.1")

    return build


@pytest.fixture
def client(new_client: Callable[..., TestClient]) -> TestClient:
    return new_client()


@pytest.fixture
def api_url(app: ASGIApp) -> Iterator[str]:
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
