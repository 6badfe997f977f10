"""The form in which people and programs read a customer and an event: plain JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from customeros.schemas.codec import ACCOUNT_STATE, CUSTOMER_STATE
from customeros.schemas.customer import windows

Row = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Days up to today, as people compare them; a state holds no more than 90.
_WINDOWS: Final = (7, 30, 90)
_decode: Final = msgspec.json.Decoder().decode


def customer(record: bytes, *, today: date, merged_from: str | None = None) -> dict[str, Any]:
    """
    A record of `customer-state`; times are ISO 8601 in UTC with ms, money is in minor units.

    Args:
        today: UTC; the windows of the metrics end with it.
        merged_from: the id that was asked for, where this customer is its survivor.

    Raises:
        Undecodable: it is no such record.
    """
    state = _read_customer(record)
    found: dict[str, Any] = {
        "customer_id": state.customer_id,
        "workspace": state.workspace,
        "status": state.status,
        "version": state.version,
        "identifiers": state.identifiers,
        "traits": _traits(state.traits),
        "consent": state.consent,
        "metrics": _metrics(state.metrics, today),
        "things": _things(state.things),
        "sets": state.sets,
        "accounts": state.accounts,
        "first_touch": state.first_touch,
        "last_touch": state.last_touch,
        "timeline": state.timeline,
        "digest": state.digest,
    }
    if merged_from is not None:
        found["merged_from"] = merged_from
    if state.merged_into is not None:
        found["merged_into"] = state.merged_into
    return found


def account(record: bytes, *, today: date) -> dict[str, Any]:
    """A record of `account-state`, in the form of a customer's; raises as `customer`."""
    state = _read_account(record)
    return {
        "account_id": state.account_id,
        "workspace": state.workspace,
        "status": state.status,
        "version": state.version,
        "parent": state.parent,
        "subsidiary_count": state.subsidiary_count,
        "subsidiaries": state.subsidiaries,
        "member_count": state.member_count,
        "members": state.members,
        "traits": _traits(state.traits),
        "metrics": _metrics(state.metrics, today),
        "things": _things(state.things),
        "timeline": state.timeline,
        "digest": state.digest,
    }


def event(row: Row) -> dict[str, Any]:
    """
    An event as ClickHouse has it: traits are text, properties and context JSON values.

    `order` and `message` are there when the event has them.
    """
    found: dict[str, Any] = {
        "event_id": row["event_id"],
        "source": row["source"],
        "family": row["family"],
        "kind": row["kind"],
        "name": row["name"],
        "occurred_at": time_text(row["occurred_ms"]),
        "received_at": time_text(row["received_ms"]),
        "account_id": row["account_id"] or None,
        "traits": dict(row["traits"]),
        "properties": json_value(row["properties"]),
        "context": json_value(row["context"]),
        "enrichment": dict(row["enrichment"]),
    }
    if row["order_id"]:
        found["order"] = {
            "order_id": row["order_id"],
            "action": row["order_action"],
            "amount": row["amount"],
            "currency": row["currency"],
            "lines": [dict(line) for line in row["lines"]],
        }
    if row["conversation_id"]:
        found["message"] = {
            "channel": row["channel"],
            "direction": row["direction"],
            "conversation_id": row["conversation_id"],
            "author": row["author"],
            "text": row["text"],
        }
    return found


def time_text(milliseconds: int) -> str:
    """`2026-01-01T12:00:00.000Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03}Z"


def json_value(text: str) -> Any:
    """What the JSON text says; a text that is none stands for itself."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return text


# A customer's times repeat: identifiers, traits and timeline tell of the same few events.
@lru_cache(maxsize=65_536)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


# As they are told, but for what the functions below say.
_read_customer: Final = CUSTOMER_STATE.plain(
    time_text, times=("sets",), unread=("KnownIdentifier.since",)
)
_read_account: Final = ACCOUNT_STATE.plain(time_text)


def _traits(found: Mapping[str, Any]) -> Mapping[str, Any]:
    for trait in found.values():
        trait.value = json_value(trait.value)
    return found


def _metrics(found: Any, today: date) -> dict[str, Any]:
    recent = windows(found, _WINDOWS, today=today)
    told = {f"{days}d": recent[days] for days in _WINDOWS}
    return msgspec.structs.asdict(found) | {"windows": told}


def _things(found: Iterable[Any]) -> Iterable[Any]:
    for thing in found:
        if thing.amount is None:
            thing.amount = thing.currency = msgspec.UNSET
    return found
