"""What the collector says to clients: JSON, with the headers that let a browser read it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """A whole response but for what depends on the request's origin."""

    status: int
    body: bytes
    retry_after: int | None = None
    content_type: bytes = b"application/json"


def refusal(status: int, code: str, message: str, retry_after: int | None = None) -> Answer:
    """An error as clients are told it; `code` is stable, `message` is for people."""
    error = {"success": False, "error": {"code": code, "message": message}}
    return Answer(status, json.dumps(error).encode(), retry_after)


ACCEPTED: Final = Answer(200, b'{"success": true}')
NOTHING: Final = Answer(200, b"")
UNKNOWN_WRITE_KEY: Final = refusal(
    401, "unknown_write_key", "no source of this installation has this write key"
)
NOT_FOUND: Final = refusal(404, "not_found", "there is no such endpoint")
NO_SUCH_METHOD: Final = refusal(405, "method_not_allowed", "this endpoint takes another method")
TOO_SLOW: Final = refusal(408, "too_slow", "the body did not arrive in time")
TOO_LARGE: Final = refusal(413, "too_large", "a request is at most 500 KB, uncompressed")
OVERLOADED: Final = refusal(429, "overloaded", "too much is under way, come back", 1)
UNAVAILABLE: Final = refusal(503, "unavailable", "the broker is away, come back", 1)
FAILED: Final = refusal(500, "failed", "the collector has a fault; it is in its log", 1)
BROKEN_GZIP: Final = refusal(400, "invalid_gzip", "the body is not whole gzip")


def headers_of(answer: Answer, asked: Iterable[tuple[bytes, bytes]]) -> Headers:
    """
    The response's headers.

    Any origin may send and read: the write key in a web page is public, and no cookie is looked
    at, so an origin has nothing to abuse.
    """
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    if answer.retry_after is not None:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    origin = next((value for name, value in asked if name == b"origin"), None)
    if origin is not None:
        headers += (
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            # Without it the browser SDK cannot see when it may come back.
            (b"access-control-expose-headers", b"retry-after"),
            (b"vary", b"origin"),
        )
    return headers


def preflight_headers(asked: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What a browser wants to know before it sends; the headers it names are reflected."""
    wanted = next((v for n, v in asked if n == b"access-control-request-headers"), None)
    return [
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (b"access-control-allow-headers", wanted or b"authorization, content-type"),
        (b"access-control-max-age", b"86400"),
    ]
