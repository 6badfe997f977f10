"""The events of a customer from ClickHouse, newest first, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

import msgspec

from customeros.schemas.customer import CustomerState
from customeros.serving.answers import Refused
from customeros.serving.clickhouse import ClickHouseReader
from customeros.serving.render import Row

# A state leaves identifiers out beyond 32 kB, so below this it has them all.
_ALL_LISTED_BYTES: Final = 24 * 1024

# Events are sorted by `identifier_key`, so the keys of the state that was answered are the fast
# way, and agree with it even while an assignment has not arrived in ClickHouse.
_QUERY: Final = """
SELECT event_id, source, family, kind, name,
       toUnixTimestamp64Milli(occurred_at) AS occurred_ms,
       toUnixTimestamp64Milli(received_at) AS received_ms,
       account_id, order_id, order_action, amount, currency, lines,
       channel, direction, conversation_id, author, text,
       traits, properties, context, enrichment
FROM events
WHERE workspace = {workspace:String}
  AND (identifier_key IN {keys:Array(String)} OR {scan:Bool} AND customer_id = {customer:String})
  AND occurred_at <= fromUnixTimestamp64Milli({at:Int64}, 'UTC')
  AND (toUnixTimestamp64Milli(occurred_at), source, event_id) < ({at:Int64}, {source:String}, {event:String})
ORDER BY occurred_at DESC, source DESC, event_id DESC
LIMIT {limit:UInt32}
"""  # noqa: E501


_NAMED: Final = """
SELECT event_id, name, source, order_id, conversation_id
FROM events_log
WHERE workspace = {workspace:String}
  AND identifier_key IN {keys:Array(String)} AND event_id IN {ids:Array(String)}
"""


class Cursor(NamedTuple):
    """A place in the order of events; two of the same millisecond differ in source and id."""

    occurred_at: int
    source: str = ""
    event_id: str = ""


# After every event that can be: times end with the year 2299 in ClickHouse.
NEWEST: Final = Cursor(10_413_791_999_999)


class Whose(NamedTuple):
    """
    The customer whose events are asked for.

    Args:
        keys: of the identifiers; unless they are `all_keys`, every event is asked for its customer.
    """

    workspace: str
    customer_id: str
    keys: tuple[str, ...]
    all_keys: bool = True


def whose(state: CustomerState) -> Whose:
    """The question for the events of *state*'s customer."""
    size = sum(64 + len(i.type) + len((i.value or "").encode()) for i in state.identifiers)
    return Whose(
        state.workspace,
        state.customer_id,
        tuple(identifier.key for identifier in state.identifiers),
        all_keys=size < _ALL_LISTED_BYTES,
    )


class Events(Protocol):
    """Where events are kept."""

    def before(self, asked: Whose, cursor: Cursor, *, limit: int) -> list[Row]:
        """
        Events of the customer before *cursor*, newest first; blocks.

        Raises:
            Unavailable: no answer; try again.
        """
        ...


class ClickHouseEvents(ClickHouseReader):
    """Events in ClickHouse."""

    def before(self, asked: Whose, cursor: Cursor, *, limit: int) -> list[Row]:
        parameters = {
            "workspace": asked.workspace,
            "customer": asked.customer_id,
            "keys": list(asked.keys),
            "scan": not asked.all_keys,
            "at": cursor.occurred_at,
            "source": cursor.source,
            "event": cursor.event_id,
            "limit": limit,
        }
        return self.rows(_QUERY, parameters)

    def named(
        self, workspace: str, keys: Iterable[str], event_ids: Iterable[str]
    ) -> dict[str, Row]:
        """
        The events with these ids that have one of *keys* as their primary identifier.

        Raises:
            Unavailable: no answer; try again.
        """
        asked = {"workspace": workspace, "keys": list(keys), "ids": list(event_ids)}
        return {row["event_id"]: row for row in self.rows(_NAMED, asked)}


def cursor_text(row: Row) -> str:
    """The cursor behind *row*, as `before` takes it."""
    place = [row["occurred_ms"], row["source"], row["event_id"]]
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """
    A cursor that an answer gave, or a time: events before it.

    Raises:
        Refused: 400, it is neither.
    """
    if text[:1].isdigit():
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise _malformed() from None
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        return _within_reach(Cursor(round(aware.timestamp() * 1000)))
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return _within_reach(Cursor(*msgspec.json.decode(data, type=tuple[int, str, str])))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise _malformed() from None


def _within_reach(cursor: Cursor) -> Cursor:
    """No event lies outside of what ClickHouse can hold, so nothing is lost."""
    return cursor._replace(occurred_at=min(max(cursor.occurred_at, 0), NEWEST.occurred_at))


def _malformed() -> Refused:
    return Refused(
        400, "malformed_before", "before is the `next` of an answer, or a time in ISO 8601"
    )
