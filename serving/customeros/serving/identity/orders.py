"""What a request asks to be done, or how much to be told, in the form the API takes it."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from customeros.serving.answers import Refused

_MAX_BODY_BYTES: Final = 256 * 1024
_Order = TypeVar("_Order", bound=msgspec.Struct)


async def read_order(request: Request, kind: type[_Order]) -> _Order:
    """
    The body of a POST.

    Raises:
        Refused: 400, with the fields that it should have.
    """
    body = await request.body()
    try:
        if len(body) > _MAX_BODY_BYTES:
            raise msgspec.ValidationError("too large")
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        fields = ", ".join(kind.__struct_fields__)
        raise Refused(400, "malformed_order", f"send a JSON object with {fields}") from None


def read_limit(request: Request, *, usual: int, most: int) -> int:
    """
    How many are asked for; *usual* where it is not said.

    Raises:
        Refused: 400, not a number from 1 to *most*.
    """
    text = request.query_params.get("limit", str(usual))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise Refused(400, "malformed_limit", f"limit is a number from 1 to {most}")
    return int(text)
