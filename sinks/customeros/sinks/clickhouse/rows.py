"""The rows that a record becomes: pure, and the same for the same record at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from customeros.schemas.codec import (
    ASSIGNMENT,
    DEAD_LETTER,
    IDENTITY_LINK,
    RESOLVED_EVENT,
)
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import Order, Personal, ResolvedEvent
from customeros.schemas.identity import Assignment, IdentityLink
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC
from customeros.schemas.topics import ASSIGNMENTS as ASSIGNMENTS_TOPIC
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.schemas.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from customeros.schemas.topics import LINKS as LINKS_TOPIC
from customeros.schemas.topics import RESOLVED, Topic
from customeros.sinks.clickhouse.json_text import plain
from customeros.sinks.clickhouse.record import Record, Row, name_in
from customeros.sinks.clickhouse.states import account_rows, customer_rows
from customeros.sinks.clickhouse.tables import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    EVENTS,
    LINKS,
    Table,
)

_NOBODY: Final = Personal()


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
        [(name, plain(value)) for name, value in personal.traits.items()],
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


def _event_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is not None:
        yield EVENTS, event_row(RESOLVED_EVENT.decode(record.value), record)


def _assignment_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is None:
        workspace, key = name_in(record.key)
        place = (record.partition, record.offset)
        yield ASSIGNMENTS, (workspace, key, "", "", record.timestamp, True, *place)
    else:
        yield ASSIGNMENTS, assignment_row(ASSIGNMENT.decode(record.value), record)


def _link_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is not None:
        yield LINKS, link_row(IDENTITY_LINK.decode(record.value), record)
        return
    workspace, pair = name_in(record.key)
    a, _, b = pair.partition(".")
    nothing = ("", "", 0, "", "", "", 0, "", "", "", record.timestamp, True)
    yield LINKS, (workspace, a, b, *nothing, record.partition, record.offset)


def _dead_letter_rows(record: Record) -> Iterator[tuple[Table, Row]]:
    if record.value is not None:
        yield DEAD_LETTERS, dead_letter_row(DEAD_LETTER.decode(record.value), record)


_ROWS: Final[Mapping[Topic, Callable[[Record], Iterator[tuple[Table, Row]]]]] = {
    ASSIGNMENTS_TOPIC: _assignment_rows,
    RESOLVED: _event_rows,
    CUSTOMER_STATE_TOPIC: customer_rows,
    ACCOUNT_STATE_TOPIC: account_rows,
    LINKS_TOPIC: _link_rows,
    DEAD_LETTERS_TOPIC: _dead_letter_rows,
}
SOURCES: Final = tuple(_ROWS)


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
