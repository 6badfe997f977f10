"""Serve an ASGI application to clients that may be slow, endless or many."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from asyncio import TimerHandle
from collections.abc import Iterator
from typing import Any, Final

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from customeros.runtime.errors import Misconfigured
from customeros.runtime.gathering import Gathering
from customeros.runtime.settings import Collector

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
    listening = _listen(collector)
    server = _Server(server_config(app))
    structlog.get_logger().info("collector_started", port=collector.port)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listening]))
    return 0 if server.started else 1


def server_config(app: Any) -> uvicorn.Config:
    """How uvicorn serves the collector, but for where it listens."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        lifespan="on",
        access_log=False,  # it would hold addresses
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request does not end: uvicorn would wait, and keep what came."""

    _deadline: TimerHandle | None = None
    _head_bytes: int = 0
    _in_head: bool = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type]
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


class _Server(uvicorn.Server):
    """Ends on a signal as asked; uvicorn's own would then raise the signal once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _listen(collector: Collector) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((collector.host, collector.port))
    except OSError as error:
        listening.close()
        raise Misconfigured(
            f"port {collector.port} of {collector.host} cannot be used ({error.strerror}): "
            "CUSTOMEROS_COLLECTOR__PORT names another"
        ) from error
    return listening
