"""The rows that a record becomes: pure, and the same for the same record at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from customeros.schemas.codec import (
    ASSIGNMENT,
    DEAD_LETTER,
    IDENTITY_LINK,
    RESOLVED_EVENT,
)
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.identity import Assignment, IdentityLink
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC
from customeros.schemas.topics import ASSIGNMENTS as ASSIGNMENTS_TOPIC
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.schemas.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from customeros.schemas.topics import LINKS as LINKS_TOPIC
from customeros.schemas.topics import RESOLVED, Topic
from customeros.sinks.clickhouse.record import Record, Row, name_in
from customeros.sinks.clickhouse.states import account_rows, customer_rows
from customeros.sinks.clickhouse.tables import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    EVENTS,
    LINKS,
    Table,
)


def rows_of(record: Record) -> Iterator[tuple[Table, Row]]:
    """
    The rows of *record*, each with its table.

    Raises:
        Undecodable: its bytes are not what its topic holds.
    """
    return _ROWS[record.topic](record)


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
        # ClickHouse reads it: here it would take ten times as long.
        value = RESOLVED_EVENT.record_in(record.value)
        yield EVENTS, (value, record.partition, record.offset)


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
