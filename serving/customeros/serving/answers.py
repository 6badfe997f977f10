"""What an answer looks like on the wire, also when it is a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from customeros.runtime.errors import Unavailable

_encode = msgspec.json.Encoder().encode


class Refused(Exception):
    """
    A request that is not answered with what it asked for.

    Args:
        code: short and stable, for programs; `message` is a sentence for people. Neither holds
            what the caller sent, since answers are logged by those in between.
    """

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


def answer(
    value: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """*value* as JSON."""
    return Response(_encode(value), status, headers, media_type)


def failure(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """The one form of everything that is not an answer."""
    body = {"error": {"code": code, "message": message}}
    return answer(body, status=status, headers=headers)


# The handlers of errors are coroutines, since Starlette has others run in a thread.
async def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that raised `Refused`."""
    assert isinstance(error, Refused)  # noqa: S101 - registered for this class alone
    return failure(error.status, error.code, error.message, headers=error.headers)


async def unavailable(request: Request, error: Exception) -> Response:
    """The answer where a dependency did not answer us: try again."""
    assert isinstance(error, Unavailable)  # noqa: S101 - registered for this class alone
    return failure(
        503,
        "unavailable",
        f"{error.dependency} does not answer; try again",
        headers={"Retry-After": f"{max(1, round(error.retry_after))}"},
    )
