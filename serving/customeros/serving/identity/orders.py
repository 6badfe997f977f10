"""What a request asks to be done, in the form the API takes it."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from starlette.requests import Request

from customeros.serving.answers import Refused

_MAX_BODY_BYTES: Final = 256 * 1024
_MAX_WHY_CHARACTERS: Final = 500
_MAX_BY_CHARACTERS: Final = 100
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


def read_reason(why: str, by: str) -> str:
    """
    *why* something is done, without what surrounds it.

    Raises:
        Refused: 400, nothing is said, or too much; or *by* is no name.
    """
    if not why.strip() or len(why) > _MAX_WHY_CHARACTERS or len(by) > _MAX_BY_CHARACTERS:
        raise Refused(
            400, "malformed_order", f"say why, in at most {_MAX_WHY_CHARACTERS} characters"
        )
    return why.strip()
