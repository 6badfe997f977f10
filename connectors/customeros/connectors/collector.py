"""The collector: the tracking API over HTTP, answered 200 once Kafka has every event."""

from __future__ import annotations

import json
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from customeros.connectors import answers
from customeros.connectors.accepting import ENDPOINTS, Accepting
from customeros.connectors.answers import Answer, headers_of, preflight_headers
from customeros.connectors.publisher import KafkaPublisher, Publisher
from customeros.connectors.requests import Gone, Receive
from customeros.connectors.room import Allowance
from customeros.connectors.segment.calls import STAGE
from customeros.connectors.server import serve
from customeros.runtime import metrics
from customeros.runtime.config import Config, read_config
from customeros.runtime.connections import tell_of_closed_connections
from customeros.runtime.garbage import collect_rarely
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_SETTINGS: Final = re.compile("/v1/projects/([^/]+)/settings")
_log = structlog.get_logger()


class Collector:
    """
    The ASGI application. Written on ASGI itself: routes are one look-up, not a search.

    The publisher is started and closed with it.
    """

    def __init__(self, config: Config, publisher: Publisher, accepting: Accepting) -> None:
        self._config = config
        self._publisher = publisher
        self._accepting = accepting
        self._pages: dict[str, Callable[[], Answer]] = {
            "/healthz": lambda: answers.ACCEPTED,
            "/readyz": lambda: answers.ACCEPTED if publisher.ready else answers.UNAVAILABLE,
            "/metrics": lambda: Answer(
                200, generate_latest(), content_type=CONTENT_TYPE_LATEST.encode()
            ),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        path, asked = scope["path"], scope["headers"]
        try:
            answer = await self._answer(scope, receive)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - the client is to try again, and keep its data
            # Neither the error's text nor its values: both may be somebody's.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{frame.name}:{frame.lineno}"
            _log.error("request_failed", error=type(error).__name__, where=where)
            answer = answers.FAILED
        headers = headers_of(answer, asked)
        if scope["method"] == "OPTIONS":
            headers += preflight_headers(asked)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        route = path if path in ENDPOINTS or path in self._pages else "other"
        metrics.labelled(metrics.REQUESTS, STAGE, route, answer.status).inc()
        metrics.labelled(metrics.REQUEST_SECONDS, STAGE, route).observe(time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        tracking = path in ENDPOINTS
        about_sdk = None if tracking else _SETTINGS.fullmatch(path)
        if not (tracking or about_sdk or path in self._pages):
            return answers.NOT_FOUND
        if method == "OPTIONS":
            return answers.NOTHING
        if method != ("POST" if tracking else "GET"):
            return answers.NO_SUCH_METHOD
        if tracking:
            return await self._accepting.accept(path, scope["headers"], receive)
        if about_sdk:
            return self._sdk_settings(about_sdk[1], scope)
        return self._pages[path]()

    def _sdk_settings(self, write_key: str, scope: Scope) -> Answer:
        """What the browser SDK loads first: that it has one destination, and that it is here."""
        if self._config.source_by_write_key(write_key) is None:
            return answers.UNKNOWN_WRITE_KEY
        return Answer(200, json.dumps(browser_settings(write_key, *_address(scope))).encode())

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._publisher.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._publisher.close()
        await send({"type": "lifespan.shutdown.complete"})


def build_collector(
    config: Config,
    settings: Settings,
    workspace_key: Callable[[str], bytes],
    publisher: Publisher,
    *,
    allowance: Allowance,
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Collector:
    """
    The ASGI application.

    Args:
        workspace_key: of a workspace's name; what identifier keys are made with.
        allowance: of bytes for requests under way; the publisher takes from the same.
        clock: ms since the epoch.
    """
    metrics.INFLIGHT_BYTES.set_function(lambda: allowance.taken)
    accepting = Accepting(
        config, settings, workspace_key, publisher, allowance=allowance, clock=clock
    )
    return Collector(config, publisher, accepting)


def browser_settings(write_key: str, protocol: str, host: str) -> dict[str, Any]:
    """The settings of `@segment/analytics-next` that make *host* its only destination."""
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": f"{host}/v1",
                "protocol": protocol,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {
            "track": {"__default": {"enabled": True, "integrations": {}}},
            "identify": {"__default": {"enabled": True}},
            "group": {"__default": {"enabled": True}},
        },
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        # It would report about itself to its maker.
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def _address(scope: Scope) -> tuple[str, str]:
    """Protocol and host as the client named them, a proxy in between or not."""
    said: dict[bytes, bytes] = dict(scope["headers"])
    protocol = said.get(b"x-forwarded-proto", scope["scheme"].encode())
    host = said.get(b"x-forwarded-host", said.get(b"host", b""))
    return protocol.decode("latin-1"), host.decode("latin-1")


def run_collector(settings: Settings) -> int:
    """
    Serve until SIGTERM or SIGINT; the exit code.

    Raises:
        Misconfigured: the configuration is wrong, or the port is taken.
    """
    config, secrets = read_config(settings), read_secrets(settings)
    allowance = Allowance(settings.collector.max_inflight_mb * 1024 * 1024)
    publisher = KafkaPublisher(settings, allowance)
    app = build_collector(config, settings, secrets.workspace_key, publisher, allowance=allowance)
    collect_rarely()
    tell_of_closed_connections()
    return serve(app, settings.collector)
