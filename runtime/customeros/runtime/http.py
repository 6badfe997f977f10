"""How do the platform's HTTP servers answer and end?"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def server_config(app: Any, **settings: Any) -> uvicorn.Config:
    """
    How uvicorn serves, but for where it listens.

    Args:
        settings: uvicorn's, for what is not the same everywhere.
    """
    same: dict[str, Any] = {
        "loop": "uvloop",
        "http": Protocol,
        "access_log": False,  # it would hold addresses, and paths hold identifiers
        "log_config": None,
        "proxy_headers": False,  # nobody asks where a request came from
        "server_header": False,
    }
    return uvicorn.Config(app, **{**same, **settings})


class Server(uvicorn.Server):
    """Ends on a signal as asked; uvicorn's own would then raise the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


class Protocol(HttpToolsProtocol):
    """Sends the head of an answer and its body at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]


class _Gathering:
    """
    A transport that sends what is written in one turn of the loop at once.

    uvicorn writes the head of a response and its body apart; each write of a few bytes costs what
    reading the whole request does, here and at the client.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))
