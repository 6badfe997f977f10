"""The rows that a record becomes: pure, and the same for the same record at any time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from customeros.schemas.codec import (
    ASSIGNMENT,
    CUSTOMER_STATE,
    DEAD_LETTER,
    IDENTITY_LINK,
    RESOLVED_EVENT,
    Undecodable,
)
from customeros.schemas.customer import CurrencyTotals, CustomerState, Metrics, Trait
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import Order, Personal, ResolvedEvent
from customeros.schemas.identity import Assignment, IdentityLink
from customeros.schemas.topics import ASSIGNMENTS as ASSIGNMENTS_TOPIC
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.schemas.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from customeros.schemas.topics import LINKS as LINKS_TOPIC
from customeros.schemas.topics import RESOLVED, Topic
from customeros.sinks.clickhouse.tables import (
    ASSIGNMENTS,
    CUSTOMERS,
    DEAD_LETTERS,
    EVENTS,
    IDENTIFIERS,
    LINKS,
    Table,
)

Row = tuple[Any, ...]
DELETED: Final = "deleted"
_NOBODY: Final = Personal()


class Record(NamedTuple):
    """
    A record of a source topic as the broker gave it.

    Args:
        topic: without the prefix.
        timestamp: when it was produced, ms.
    """

    topic: Topic
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    timestamp: int


def rows_of(record: Record) -> Iterator[tuple[Table, Row]]:
    """
    The rows of *record*, each with its table.

    Raises:
        Undecodable: its bytes are not what its topic holds.
    """
    return _ROWS[record.topic](record)


def event_row(resolved: ResolvedEvent, record: Record) -> Row:
    """Of one event; traits that are text come without their JSON quotes."""
    event, order, message = resolved.event, resolved.event.order, resolved.event.message
    personal = event.personal or _NOBODY
    return (
        event.workspace,
        event.event_id,
        event.source,
        event.family,
        event.kind,
        event.name,
        event.occurred_at,
        event.received_at,
        event.identifier_keys[0] if event.identifier_keys else "",
        resolved.customer_id,
        resolved.assignment_version,
        event.account_id or "",
        *(_order_columns(order) if order else _NO_ORDER),
        *(
            (message.channel, message.direction, message.conversation_id)
            if message
            else _NO_MESSAGE
        ),
        [(decision.purpose, decision.granted) for decision in event.consent],
        list(resolved.enrichment.items()),
        [{"type": one.type, "value": one.value} for one in personal.identifiers],
        [(name, _plain(value)) for name, value in personal.traits.items()],
        personal.properties,
        personal.context,
        personal.author or "",
        personal.text or "",
        record.topic.name,
        record.partition,
        record.offset,
    )


def assignment_row(assignment: Assignment, record: Record) -> Row:
    """Where an identifier belongs."""
    return (
        assignment.workspace,
        assignment.key,
        assignment.type,
        assignment.customer_id,
        assignment.version,
        False,
        record.partition,
        record.offset,
    )


def customer_row(state: CustomerState, record: Record) -> Row:
    """The state of one customer; what it spent is placed less refunded less cancelled."""
    metrics = state.metrics
    money = metrics.money
    return (
        state.workspace,
        state.customer_id,
        state.version,
        state.status,
        state.merged_into or "",
        state.version,
        metrics.first_seen_at,
        metrics.last_seen_at,
        _newest_identifier(state, "email") or _trait(state.traits, "email"),
        _name(state.traits),
        _newest_identifier(state, "phone") or _trait(state.traits, "phone"),
        metrics.events,
        metrics.orders,
        metrics.refunds,
        metrics.cancellations,
        metrics.items,
        metrics.messages_in,
        metrics.messages_out,
        _by_currency(money, lambda sums: sums.placed - sums.refunded - sums.cancelled),
        _by_currency(money, lambda sums: sums.placed),
        _by_currency(money, lambda sums: sums.refunded),
        _by_currency(money, lambda sums: sums.cancelled),
        json_object((name, trait.value) for name, trait in state.traits.items()),
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


def link_row(link: IdentityLink, record: Record) -> Row:
    """What is known of two identifiers beside each other."""
    return (
        link.workspace,
        link.a,
        link.b,
        link.a_type,
        link.b_type,
        link.strength,
        link.rule,
        link.source,
        link.event_id,
        link.occurred_at,
        link.change_id or "",
        link.refused or "",
        link.detail,
        link.version,
        False,
        record.partition,
        record.offset,
    )


def dead_letter_row(letter: DeadLetter, record: Record) -> Row:
    """A record that was given up on."""
    return (
        letter.workspace,
        letter.source,
        letter.stage,
        letter.reason,
        letter.detail,
        letter.failed_at,
        letter.origin.topic or "",
        letter.origin.partition,
        letter.origin.offset,
        letter.key or b"",
        letter.value,
        record.partition,
        record.offset,
    )


def json_object(members: Iterable[tuple[str, str]]) -> str:
    """
    One JSON object of names and their JSON texts, as a JSON column takes it.

    To the column a dot in a name is a way into an object, so objects are flattened and of two
    values at one path the first stays. What is not JSON after all becomes text.
    """
    leaves: dict[str, str] = {}
    for name, text in members:
        for path, leaf in _leaves(name, text):
            leaves.setdefault(path, leaf)
    return "{" + ",".join(f"{json.dumps(path)}:{leaf}" for path, leaf in leaves.items()) + "}"


def _event_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is not None:
        yield EVENTS, event_row(RESOLVED_EVENT.decode(record.value), record)


def _assignment_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is None:
        workspace, key = _name_in(record.key)
        place = (record.partition, record.offset)
        yield ASSIGNMENTS, (workspace, key, "", "", record.timestamp, True, *place)
    else:
        yield ASSIGNMENTS, assignment_row(ASSIGNMENT.decode(record.value), record)


def _customer_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is None:
        yield CUSTOMERS, _deleted_customer_row(record)
        return
    state = CUSTOMER_STATE.decode(record.value)
    yield CUSTOMERS, customer_row(state, record)
    for row in identifier_rows(state, record):
        yield IDENTIFIERS, row


def _link_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is not None:
        yield LINKS, link_row(IDENTITY_LINK.decode(record.value), record)
        return
    workspace, pair = _name_in(record.key)
    a, _, b = pair.partition(".")
    nothing = ("", "", 0, "", "", "", 0, "", "", "", record.timestamp, True)
    yield LINKS, (workspace, a, b, *nothing, record.partition, record.offset)


def _dead_letter_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is not None:
        yield DEAD_LETTERS, dead_letter_row(DEAD_LETTER.decode(record.value), record)


_ROWS: Final[Mapping[Topic, Callable[[Record], Iterator[tuple[Table, Row]]]]] = {
    ASSIGNMENTS_TOPIC: _assignment_rows,
    RESOLVED: _event_rows,
    CUSTOMER_STATE_TOPIC: _customer_rows,
    LINKS_TOPIC: _link_rows,
    DEAD_LETTERS_TOPIC: _dead_letter_rows,
}
SOURCES: Final = tuple(_ROWS)


def _deleted_customer_row(record: Record) -> Row:
    """
    A tombstone has no version of its own, so it takes its time.

    Versions are hybrid clocks in ms: that of the state before it is older, that of a state
    which brings the customer back is newer.
    """
    workspace, customer_id = _name_in(record.key)
    gone = CustomerState(workspace=workspace, customer_id=customer_id, version=record.timestamp)
    row = list(customer_row(gone, record))
    row[CUSTOMERS.columns.get_field_index("status")] = DELETED
    return tuple(row)


def _name_in(key: bytes) -> tuple[str, str]:
    """Workspace and name of the key bytes `workspace/name`."""
    try:
        workspace, slash, name = key.decode().partition("/")
    except UnicodeDecodeError:
        slash = ""
    if not slash:
        raise Undecodable("a tombstone's key is not workspace/name")
    return workspace, name


_NO_ORDER: Final[Row] = ("", "", None, "", [])
_NO_MESSAGE: Final[Row] = ("", "", "")


def _order_columns(order: Order) -> Row:
    return (
        order.order_id,
        order.action,
        order.total.amount,
        order.total.currency,
        [msgspec.structs.asdict(line) for line in order.lines],
    )


def _metrics(metrics: Metrics) -> str:
    """As JSON without the days: each would be a path of its own in the column."""
    counts = msgspec.to_builtins(metrics)
    del counts["days"], counts["order_days"]
    return msgspec.json.encode(counts).decode()


def _newest_identifier(state: CustomerState, kind: str) -> str:
    found = [known for known in state.identifiers if known.type == kind and known.value]
    newest = max(found, key=lambda known: (known.last_seen_at, known.value or ""), default=None)
    return (newest and newest.value) or ""


def _name(traits: Mapping[str, Trait]) -> str:
    parts = (
        _trait(traits, "first_name") or _trait(traits, "firstName"),
        _trait(traits, "last_name") or _trait(traits, "lastName"),
    )
    return _trait(traits, "name") or " ".join(part for part in parts if part)


def _trait(traits: Mapping[str, Trait], name: str) -> str:
    found = traits.get(name)
    return _plain(found.value) if found and found.value.startswith('"') else ""


def _by_currency(
    money: Mapping[str, CurrencyTotals], amount: Callable[[CurrencyTotals], int]
) -> list[tuple[str, int]]:
    return [(currency, amount(sums)) for currency, sums in money.items()]


def _plain(text: str) -> str:
    """The text that a JSON string holds; other JSON as it is."""
    if not text.startswith('"'):
        return text
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.DecodeError, UnicodeError):
        return text


def _leaves(name: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        value = msgspec.json.decode(text)
        if isinstance(value, dict | list):
            for path, leaf in _flat(name, value):
                yield path, msgspec.json.encode(leaf).decode()
        else:
            yield name, text
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        yield name, json.dumps(text)


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}", inner)
    elif isinstance(value, list):
        yield path, [_flat_item(item) for item in value]
    else:
        yield path, value


def _flat_item(item: Any) -> Any:
    if isinstance(item, dict):
        flat: dict[str, Any] = {}
        for name, inner in item.items():
            for path, leaf in _flat(name, inner):
                flat.setdefault(path, leaf)
        return flat
    return [_flat_item(inner) for inner in item] if isinstance(item, list) else item
