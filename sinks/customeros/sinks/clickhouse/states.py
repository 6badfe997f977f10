"""The rows that the states of customers and organisations become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from customeros.schemas.account import AccountState, AccountStatus
from customeros.schemas.avro_values import read_long
from customeros.schemas.codec import ACCOUNT_STATE, CUSTOMER_STATE, HEADER_BYTES
from customeros.schemas.customer import CustomerState, Metrics, Trait
from customeros.sinks.clickhouse.json_text import json_object, plain
from customeros.sinks.clickhouse.record import Record, Row, name_in
from customeros.sinks.clickhouse.tables import ACCOUNTS, CUSTOMERS, IDENTIFIERS, Table

DELETED: Final = "deleted"
# What no column holds is most of a state.
_STATE: Final = CUSTOMER_STATE.without("things", "timeline", "order_days", "digest")
_UNREADABLE: Final = -1


def version_of(record: Record) -> int:
    """
    How new the state is, without reading more than the beginning; a tombstone's is its time.

    Bytes that are no state are older than any.
    """
    if record.value is None:
        return record.timestamp
    try:
        at = HEADER_BYTES
        for _ in ("workspace", "name"):
            size, at = read_long(record.value, at)
            at += size
        return read_long(record.value, at)[0]
    except (IndexError, ValueError):
        return _UNREADABLE


def customer_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    """The state of a customer, and its identifiers."""
    if record.value is None:
        yield CUSTOMERS, _deleted_customer_row(record)
        return
    state = _STATE.decode(record.value)
    yield CUSTOMERS, customer_row(state, record)
    for row in identifier_rows(state, record):
        yield IDENTIFIERS, row


def customer_row(state: CustomerState, record: Record) -> Row:
    """The state of one customer; what it spent is placed less refunded less cancelled."""
    metrics = state.metrics
    return (
        state.workspace,
        state.customer_id,
        state.version,
        state.status,
        state.merged_into or "",
        state.version,
        *(metrics.first_seen_at, metrics.last_seen_at),
        _newest_identifier(state, "email") or _trait(state.traits, "email"),
        _name(state.traits),
        _newest_identifier(state, "phone") or _trait(state.traits, "phone"),
        *_counts(metrics),
        _traits(state.traits),
        _metrics(metrics),
        list(metrics.days.items()),
        [(purpose, consent.granted) for purpose, consent in state.consent.items()],
        [
            {
                "type": known.type,
                "value": known.value or "",
                "key": known.key,
                "source": known.source,
                "first_seen_at": known.first_seen_at,
                "last_seen_at": known.last_seen_at,
            }
            for known in state.identifiers
        ],
        *(list(state.sets.get(name, ())) for name in ("products", "channels")),
        list(state.accounts),
        list(state.first_touch.values.items()) if state.first_touch else [],
        list(state.last_touch.values.items()) if state.last_touch else [],
        [
            {
                "account_id": account,
                "role": membership.role,
                "since": membership.since,
                "last_seen_at": membership.last_seen_at,
            }
            for account, membership in state.accounts.items()
        ],
        record.partition,
        record.offset,
    )


def identifier_rows(state: CustomerState, record: Record) -> Iterator[Row]:
    """One row for each identifier whose value has arrived."""
    for known in state.identifiers:
        if known.value is not None:
            yield (
                state.workspace,
                known.type,
                known.value,
                known.key,
                state.customer_id,
                known.source,
                known.first_seen_at,
                known.last_seen_at,
                known.since,
                state.version,
                record.partition,
                record.offset,
            )


def account_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    """The state of an organisation; a tombstone is a deleted one, as old as itself."""
    if record.value is not None:
        yield ACCOUNTS, account_row(ACCOUNT_STATE.decode(record.value), record)
        return
    workspace, account_id = name_in(record.key)
    gone = AccountState(
        workspace=workspace,
        account_id=account_id,
        version=record.timestamp,
        status=AccountStatus.DELETED,
    )
    yield ACCOUNTS, account_row(gone, record)


def account_row(state: AccountState, record: Record) -> Row:
    """The state of one organisation; its members are those listed in it."""
    metrics = state.metrics
    return (
        state.workspace,
        state.account_id,
        state.version,
        state.status,
        state.parent or "",
        state.version,
        *(metrics.first_seen_at, metrics.last_seen_at),
        _trait(state.traits, "name"),
        list(state.subsidiaries),
        state.subsidiary_count,
        [member.customer_id for member in state.members],
        state.member_count,
        *_counts(metrics),
        _traits(state.traits),
        _metrics(metrics),
        list(metrics.days.items()),
        record.partition,
        record.offset,
    )


def _deleted_customer_row(record: Record) -> Row:
    """
    A tombstone has no version of its own, so it takes its time.

    Versions are hybrid clocks in ms: that of the state before it is older, that of a state
    which brings the customer back is newer.
    """
    workspace, customer_id = name_in(record.key)
    gone = CustomerState(workspace=workspace, customer_id=customer_id, version=record.timestamp)
    row = list(customer_row(gone, record))
    row[CUSTOMERS.columns.get_field_index("status")] = DELETED
    return tuple(row)


def _counts(metrics: Metrics) -> Row:
    """Counts, then what was spent, placed, refunded and cancelled by currency."""
    money = metrics.money.items()
    return (
        metrics.events,
        metrics.orders,
        metrics.refunds,
        metrics.cancellations,
        metrics.items,
        metrics.messages_in,
        metrics.messages_out,
        [(of, sums.placed - sums.refunded - sums.cancelled) for of, sums in money],
        [(of, sums.placed) for of, sums in money],
        [(of, sums.refunded) for of, sums in money],
        [(of, sums.cancelled) for of, sums in money],
    )


def _traits(traits: Mapping[str, Trait]) -> str:
    return json_object((name, trait.value) for name, trait in traits.items())


def _metrics(metrics: Metrics) -> str:
    """As JSON without the days: each would be a path of its own in the column."""
    counts = msgspec.to_builtins(metrics)
    del counts["days"], counts["order_days"]
    return msgspec.json.encode(counts).decode()


def _newest_identifier(state: CustomerState, kind: str) -> str:
    found = [known for known in state.identifiers if known.type == kind and known.value]
    if len(found) > 1:
        found.sort(key=lambda known: (known.last_seen_at, known.value or ""))
    return (found[-1].value or "") if found else ""


def _name(traits: Mapping[str, Trait]) -> str:
    if name := _trait(traits, "name"):
        return name
    parts = (
        _trait(traits, "first_name") or _trait(traits, "firstName"),
        _trait(traits, "last_name") or _trait(traits, "lastName"),
    )
    return " ".join(part for part in parts if part)


def _trait(traits: Mapping[str, Trait], name: str) -> str:
    found = traits.get(name)
    return plain(found.value) if found and found.value.startswith('"') else ""
