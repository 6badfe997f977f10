"""The process `customeros api`: live copies on disk, ClickHouse behind, HTTP in front."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Final

import structlog
import uvicorn

from customeros.runtime import http
from customeros.runtime.config import read_config
from customeros.runtime.ending import EXIT_CRASHED
from customeros.runtime.garbage import collect_rarely
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.runtime.stack.ports import listen
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import (
    ACCOUNT_STATE,
    ASSIGNMENTS,
    CHANGES,
    CUSTOMER_STATE,
    LINKS,
)
from customeros.sdk import Customers, LiveCopy
from customeros.serving.accounts import AccountKnowledge, ClickHouseLists
from customeros.serving.app import build_api
from customeros.serving.customers import Knowledge
from customeros.serving.events import ClickHouseEvents
from customeros.serving.identity import Changes, Comparisons, IdentityKnowledge, Links
from customeros.serving.identity.comparing import Comparing
from customeros.serving.identity.telling import Telling
from customeros.serving.kept import Kept, store_of
from customeros.serving.registry import ReadOnlyRegistry
from customeros.serving.standing import Copies

_DRAIN_SECONDS: Final = 5
_WATCH_SECONDS: Final = 0.5
# After so long a copy that is being brought up to date lets the answers have their turn; each
# waits for two or three, and Python's own 5 ms would be most of what it takes.
_TURN_SECONDS: Final = 0.0005


def run_api(settings: Settings) -> int:
    """
    Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        Misconfigured: the configuration is wrong, or the port is taken.
    """
    config, secrets = read_config(settings), read_secrets(settings)
    listening = listen(settings.api.host, settings.api.port, "CUSTOMEROS_API__PORT")
    evidence, made = Links(store_of(settings, LINKS)), Changes()
    copies = tuple(
        LiveCopy(prefixed(settings, topic), settings.kafka_client, store=store)
        for topic, store in (
            (CUSTOMER_STATE, Kept(store_of(settings, CUSTOMER_STATE))),
            (ASSIGNMENTS, Kept(store_of(settings, ASSIGNMENTS))),
            (LINKS, evidence),
            (CHANGES, made),
            (ACCOUNT_STATE, Kept(store_of(settings, ACCOUNT_STATE))),
        )
    )
    kept_up = Copies(settings, copies)
    states, assignments, links, changes, accounts = copies
    customers = Customers(states, assignments)
    events = ClickHouseEvents(settings)
    comparing = Comparing(settings)
    identity = IdentityKnowledge(
        links=evidence,
        changes=made,
        assignments=assignments,
        customers=customers,
        events=events,
        ready=lambda: links.ready and changes.ready,
        tell=Telling(settings),
        comparisons=Comparisons(comparing),
    )
    knowledge = Knowledge(
        customers=customers,
        events=events,
        ready=lambda: states.ready and assignments.ready,
        workspaces=config.workspaces,
        workspace_key=secrets.workspace_key,
        token=secrets.api_token,
    )
    app = build_api(
        knowledge,
        identity,
        AccountKnowledge(
            accounts=accounts,
            lists=ClickHouseLists(settings),
            ready=lambda: accounts.ready,
            today=knowledge.today,
        ),
        ReadOnlyRegistry(settings.kafka.topic_prefix, settings.build),
        health=lambda: kept_up.trouble,
    )
    server = http.Server(
        http.server_config(app, lifespan="off", timeout_graceful_shutdown=_DRAIN_SECONDS)
    )
    structlog.get_logger().info("api_started", port=settings.api.port)
    collect_rarely()
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        kept_up.start()
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(server, listening, kept_up))
    finally:
        comparing.stop()
        kept_up.stop()
    return EXIT_CRASHED if kept_up.failed else 0


async def _serve(server: uvicorn.Server, listening: socket.socket, copies: Copies) -> None:
    """Serve until told to stop, or until a copy has died."""
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not serving.done():
        await asyncio.wait({serving}, timeout=_WATCH_SECONDS)
        server.should_exit |= copies.failed
    serving.result()
