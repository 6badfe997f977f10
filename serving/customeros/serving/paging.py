"""How much of a list does a request ask for?"""

from __future__ import annotations

from starlette.requests import Request

from customeros.serving.answers import Refused


def read_limit(request: Request, *, usual: int = 50, most: int = 500) -> int:
    """
    How many are asked for; *usual* where it is not said.

    Raises:
        Refused: 400, not a number from 1 to *most*.
    """
    text = request.query_params.get("limit", str(usual))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise Refused(400, "malformed_limit", f"limit is a number from 1 to {most}")
    return int(text)
