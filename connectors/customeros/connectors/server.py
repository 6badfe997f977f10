"""Serve an ASGI application to clients that may be slow, endless or many."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from typing import Any, Final

import structlog
import uvicorn

from customeros.runtime import http
from customeros.runtime.settings import Collector
from customeros.runtime.stack.ports import listen

# Of one request: request line and headers. SDKs send some 2 KB, with a browser's cookies 8 KB.
_MAX_HEAD_BYTES: Final = 64 * 1024
# From the first byte of a request, or from connecting, until its last one is here.
_REQUEST_SECONDS: Final = 30.0
_KEEP_ALIVE_SECONDS: Final = 30
_DRAIN_SECONDS: Final = 10
# Each may hold 64 KB that no allowance counts; beyond them the answer is 503.
_MAX_CONNECTIONS: Final = 1_024


def serve(app: Any, collector: Collector) -> int:
    """
    Serve until SIGTERM or SIGINT; requests under way are answered first. The exit code.

    Raises:
        Misconfigured: the port is taken.
    """
    listening = listen(collector.host, collector.port, "CUSTOMEROS_COLLECTOR__PORT")
    server = http.Server(server_config(app))
    structlog.get_logger().info("collector_started", port=collector.port)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listening]))
    return 0 if server.started else 1


def server_config(app: Any) -> uvicorn.Config:
    """How uvicorn serves the collector, but for where it listens."""
    return http.server_config(
        app,
        http=BoundedProtocol,
        lifespan="on",
        date_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


class BoundedProtocol(http.Protocol):
    """Closes connections whose request does not end: uvicorn would wait, and keep what came."""

    _deadline: TimerHandle | None = None
    _head_bytes: int = 0
    _in_head: bool = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._arm()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
