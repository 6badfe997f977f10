"""The form in which people and programs read a customer and an event: plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from customeros.schemas.account import AccountEntry, AccountMember, AccountState
from customeros.schemas.customer import (
    Consent,
    CustomerState,
    KnownIdentifier,
    Membership,
    Metrics,
    OpenThing,
    TimelineEntry,
    Touch,
    Trait,
    window,
)

Row = Mapping[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Days up to today, as people compare them; a state holds no more than 90.
_WINDOWS: Final = (7, 30, 90)
_decode: Final = msgspec.json.Decoder().decode


def customer(
    state: CustomerState, *, today: date, merged_from: str | None = None
) -> dict[str, Any]:
    """
    A customer's state; times are ISO 8601 in UTC with milliseconds, money is in minor units.

    Args:
        today: UTC; the windows of the metrics end with it.
        merged_from: the id that was asked for, where this customer is its survivor.
    """
    found: dict[str, Any] = {
        "customer_id": state.customer_id,
        "workspace": state.workspace,
        "status": state.status.value,
        "version": state.version,
        "identifiers": [_identifier(i) for i in state.identifiers],
        "traits": {name: _trait(t) for name, t in state.traits.items()},
        "consent": {purpose: _consent(c) for purpose, c in state.consent.items()},
        "metrics": _metrics(state.metrics, today),
        "things": [_thing(t) for t in state.things],
        "sets": {
            name: {member: time_text(at) for member, at in members.items()}
            for name, members in state.sets.items()
        },
        "accounts": {name: _membership(m) for name, m in state.accounts.items()},
        "first_touch": _touch(state.first_touch),
        "last_touch": _touch(state.last_touch),
        "timeline": [_entry(e) for e in state.timeline],
        "digest": state.digest,
    }
    if merged_from is not None:
        found["merged_from"] = merged_from
    if state.merged_into is not None:
        found["merged_into"] = state.merged_into
    return found


def account(state: AccountState, *, today: date) -> dict[str, Any]:
    """An organisation's state, in the form of a customer's."""
    return {
        "account_id": state.account_id,
        "workspace": state.workspace,
        "status": state.status.value,
        "version": state.version,
        "parent": state.parent,
        "subsidiary_count": state.subsidiary_count,
        "subsidiaries": list(state.subsidiaries),
        "member_count": state.member_count,
        "members": [
            {"customer_id": member.customer_id, **_membership(member)} for member in state.members
        ],
        "traits": {name: _trait(t) for name, t in state.traits.items()},
        "metrics": _metrics(state.metrics, today),
        "things": [_thing(t) for t in state.things],
        "timeline": [{**_entry(e), "customer_id": e.customer_id} for e in state.timeline],
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


def _identifier(found: KnownIdentifier) -> dict[str, Any]:
    return {
        "type": found.type,
        "value": found.value,
        "key": found.key,
        "source": found.source,
        "first_seen_at": time_text(found.first_seen_at),
        "last_seen_at": time_text(found.last_seen_at),
    }


def _trait(found: Trait) -> dict[str, Any]:
    return {
        "value": json_value(found.value),
        "source": found.source,
        "event_id": found.event_id,
        "occurred_at": time_text(found.occurred_at),
    }


def _consent(found: Consent) -> dict[str, Any]:
    return {
        "granted": found.granted,
        "source": found.source,
        "event_id": found.event_id,
        "occurred_at": time_text(found.occurred_at),
    }


def _metrics(found: Metrics, today: date) -> dict[str, Any]:
    return {
        "events": found.events,
        "by_family": found.by_family,
        "orders": found.orders,
        "refunds": found.refunds,
        "cancellations": found.cancellations,
        "items": found.items,
        "messages_in": found.messages_in,
        "messages_out": found.messages_out,
        "money": {
            currency: {"placed": t.placed, "refunded": t.refunded, "cancelled": t.cancelled}
            for currency, t in found.money.items()
        },
        "first_seen_at": None if found.first_seen_at is None else time_text(found.first_seen_at),
        "last_seen_at": None if found.last_seen_at is None else time_text(found.last_seen_at),
        "days": found.days,
        "order_days": {
            day: {"orders": orders.orders, "placed": orders.placed}
            for day, orders in found.order_days.items()
        },
        "uniques": found.uniques,
        "windows": {f"{days}d": _window(found, days, today) for days in _WINDOWS},
    }


def _window(metrics: Metrics, days: int, today: date) -> dict[str, Any]:
    found = window(metrics, days, today=today)
    return {"events": found.events, "orders": found.orders, "placed": found.placed}


def _thing(found: OpenThing) -> dict[str, Any]:
    thing: dict[str, Any] = {
        "kind": found.kind,
        "ref": found.ref,
        "state": found.state,
        "occurred_at": time_text(found.occurred_at),
        "event_id": found.event_id,
    }
    if found.amount is not None:
        thing |= {"amount": found.amount, "currency": found.currency}
    return thing


def _membership(found: Membership | AccountMember) -> dict[str, Any]:
    return {
        "role": found.role,
        "since": time_text(found.since),
        "last_seen_at": time_text(found.last_seen_at),
        "source": found.source,
        "event_id": found.event_id,
    }


def _touch(found: Touch | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "occurred_at": time_text(found.occurred_at),
        "event_id": found.event_id,
        "source": found.source,
        "values": found.values,
    }


def _entry(found: TimelineEntry | AccountEntry) -> dict[str, Any]:
    return {
        "occurred_at": time_text(found.occurred_at),
        "event_id": found.event_id,
        "source": found.source,
        "family": found.family,
        "name": found.name,
        "ref": found.ref,
    }
