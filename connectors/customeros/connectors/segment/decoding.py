"""One call's JSON as a value, its numbers as they are written; or why it cannot be read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from customeros.connectors.segment.body import has_nul, is_too_large, mend

# Deeper than any SDK's call; readers in other languages stop at 64 or 100.
MAX_DEPTH: Final = 32


class Call(msgspec.Struct, rename="camel"):
    """The fields of a call that mean something here, of whatever type they came."""

    type: Any = None
    message_id: Any = None
    event: Any = None
    name: Any = None
    category: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    group_id: Any = None
    traits: Any = None
    properties: Any = None
    context: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None


class Refused(Exception):
    """Ends the reading of one call; caught where the dead letter is made."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _number(text: str) -> Decimal:
    """A number as it is written; what no double can hold is refused, since readers choke on it."""
    try:
        number = Decimal(text)
        fits = number.adjusted() <= 307
    except ArithmeticError:
        fits = False
    if not fits:
        raise Refused("number_too_large", "a number is beyond what a double can hold")
    return number


_CALL: Final = msgspec.json.Decoder(Call, float_hook=_number)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def json_text(value: Any) -> str:
    """Compact JSON; decimals as they were written."""
    return _ENCODER.encode(value).decode()


def read_one(raw: bytes) -> Call:
    """
    The call that *raw* is.

    Raises:
        Refused: it is too large, too deep, no object or no JSON.
    """
    if is_too_large(raw):
        raise Refused("too_large", "the event is longer than 32 KB")
    try:
        call = _decode(raw)
    except msgspec.ValidationError as error:
        if raw.lstrip()[:1] == b"{":
            raise Refused("number_too_large", "a number has thousands of digits") from error
        raise Refused("not_an_object", "a call is a JSON object") from error
    except RecursionError:
        raise Refused("too_deep", f"nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, ValueError):
        raise Refused("malformed", "no reader of JSON takes this event") from None
    # Each level has a bracket, so most calls need no second look.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _is_deep(call):
        raise Refused("too_deep", f"nested deeper than {MAX_DEPTH} levels")
    return call


def _decode(raw: bytes) -> Call:
    if has_nul(raw):
        return _CALL.decode(mend(raw))
    try:
        return _CALL.decode(raw)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _CALL.decode(mend(raw))


def _is_deep(call: Call) -> bool:
    parts = (call.traits, call.properties, call.context)
    level: list[Any] = [part for part in parts if isinstance(part, (dict, list))]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
