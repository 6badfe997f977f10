"""A request's body, read within bounds: of bytes, of time, of what it unpacks to."""

from __future__ import annotations

import asyncio
import base64
import binascii
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from customeros.connectors.answers import BROKEN_GZIP, TOO_LARGE, TOO_SLOW, Answer
from customeros.connectors.room import Allowance
from customeros.connectors.segment.body import MAX_BODY_BYTES

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
# A phone on a bad line sends 500 KB in less.
_BODY_SECONDS: Final = 20.0


class Refused(Exception):
    """The request ends here, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Gone(Exception):
    """The client went away in the middle of its request."""


class Body:
    """
    The bytes of one body while its request lasts, unpacked if they are gzip.

    Whether they are gzip is read off themselves: SDKs and proxies name it wrongly or not at all.
    Use as a context manager; its memory counts in the allowance until the end.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._taken = 0

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._allowance.give_back(self._taken)

    async def read(self, receive: Receive) -> bytes:
        """
        The whole body.

        Raises:
            Refused: 400, 408, 413. Overloaded: no room. Gone: nobody is there to be answered.
        """
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await self._read(receive)
        except TimeoutError:
            raise Refused(TOO_SLOW) from None

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        received = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunk = message.get("body", b"")
            received += len(chunk)
            if received > MAX_BODY_BYTES:
                raise Refused(TOO_LARGE)
            self._take(len(chunk))
            chunks.append(chunk)
            if not message.get("more_body", False):
                break
        body = b"".join(chunks)
        return self._unpack(body) if body.startswith(_GZIP_MAGIC) else body

    def _unpack(self, packed: bytes) -> bytes:
        """At most one byte more than is allowed is ever unpacked."""
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            body = unpacker.decompress(packed, MAX_BODY_BYTES + 1)
        except zlib.error:
            raise Refused(BROKEN_GZIP) from None
        if len(body) > MAX_BODY_BYTES:
            raise Refused(TOO_LARGE)
        if not unpacker.eof or unpacker.unused_data:
            raise Refused(BROKEN_GZIP)
        self._take(len(body))
        return body

    def _take(self, size: int) -> None:
        self._allowance.take(size)
        self._taken += size


def basic_user(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The user of a Basic `Authorization`, which is the write key; None without a readable one."""
    said = next((value for name, value in headers if name == b"authorization"), b"")
    scheme, _, encoded = said.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user = base64.b64decode(encoded.strip(), validate=True).partition(b":")[0].decode()
    except (binascii.Error, ValueError):
        return None
    return user or None
