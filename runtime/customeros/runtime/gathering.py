"""How does what is written in pieces leave in one?"""

from __future__ import annotations

import asyncio
from typing import Any


class Gathering:
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
