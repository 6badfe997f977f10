"""Who is asked for: a customer id, or an identifier written `type:value`."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from customeros.schemas.identifier import (
    CustomerId,
    Identifier,
    IdentifierRules,
    is_customer_id,
    meant_type,
    normalise,
    parse_identifier,
)
from customeros.serving.answers import Refused

PREFIX = b"/v1/customers/"


class Asked(NamedTuple):
    """`who`, and whether it is their events that are asked for."""

    who: CustomerId | Identifier
    events: bool


def read_path(raw_path: bytes, rules: IdentifierRules) -> Asked:
    """
    What `/v1/customers/{who}` or `/v1/customers/{who}/events` asks for.

    The path comes as it was sent: a slash within a value is written `%2F` and separates nothing.

    Raises:
        Refused: 404 for another path, 400 where *who* can be nobody.
    """
    match raw_path.removeprefix(PREFIX).split(b"/"):
        case [who]:
            return Asked(read_reference(_text(who), rules), events=False)
        case [who, b"events"]:
            return Asked(read_reference(_text(who), rules), events=True)
        case _:
            raise Refused(404, "no_such_path", "ask for /v1/customers/WHO or …/WHO/events")


def read_reference(text: str, rules: IdentifierRules) -> CustomerId | Identifier:
    """
    The customer id or the normalised identifier that *text* is.

    Raises:
        Refused: 400, with what to write instead.
    """
    if is_customer_id(text):
        return CustomerId(text)
    try:
        written = parse_identifier(text, rules)
    except ValueError as error:
        raise Refused(400, "malformed_identifier", f"{error}, or is a customer id") from None
    found = normalise(written.type, written.value, rules)
    if found is None:
        raise Refused(
            400,
            "malformed_identifier",
            f"this value cannot be a {rules.type_of(written.type).normaliser} identifier: "
            "it is malformed, blocked, or longer than 256 characters"
            + (" (write + and the country)" if written.type == "phone" else ""),
        )
    return found


def nobody(who: CustomerId | Identifier, rules: IdentifierRules) -> Refused:
    """The refusal of *who*, of whom nothing is known; it says of which type it may be a slip."""
    meant = meant_type(who.type, rules.types) if isinstance(who, Identifier) else None
    remedy = f"; did you mean the type {meant}?" if meant else ""
    return Refused(404, "unknown_customer", f"nobody is known by this{remedy}")


def _text(segment: bytes) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Refused(400, "malformed_identifier", "the path is not UTF-8") from None
