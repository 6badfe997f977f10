"""A stand-in for ClickHouse as the API asks it: events in a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

from customeros.runtime.errors import Unavailable
from customeros.serving.events import Cursor, Whose
from customeros.serving.render import Row


class ListedEvents:
    """Events from a list, in the order and with the cursor of the real ones."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows = rows
        self.away = False

    def before(self, asked: Whose, cursor: Cursor, *, limit: int) -> list[Row]:
        if self.away:
            raise Unavailable("clickhouse")
        mine = (
            row
            for row in self.rows
            if row["workspace"] == asked.workspace and row["identifier_key"] in asked.keys
        )
        earlier = (r for r in mine if _place(r) < cursor)
        return sorted(earlier, key=_place, reverse=True)[:limit]

    def named(
        self, workspace: str, keys: Iterable[str], event_ids: Iterable[str]
    ) -> dict[str, Row]:
        if self.away:
            raise Unavailable("clickhouse")
        mine, ids = {*keys}, {*event_ids}
        return {
            row["event_id"]: row
            for row in self.rows
            if row["identifier_key"] in mine and row["event_id"] in ids
        }


class ListedMembers:
    """Rows of the views `account_members` and `accounts` from lists."""

    def __init__(self) -> None:
        self.member_rows: Sequence[Row] = ()
        self.account_rows: Sequence[Row] = ()

    def members(self, workspace: str, account: str, after: str, *, limit: int) -> list[Row]:
        mine = [row for row in self.member_rows if row["account_id"] == account]
        return _after(mine, "customer_id", after)[:limit]

    def subsidiaries(self, workspace: str, account: str, after: str, *, limit: int) -> list[Row]:
        mine = [row for row in self.account_rows if row["parent"] == account]
        return _after(mine, "account_id", after)[:limit]


def _after(rows: Iterable[Row], name: str, after: str) -> list[Row]:
    return sorted((row for row in rows if row[name] > after), key=itemgetter(name))


def _place(row: Row) -> tuple[int, str, str]:
    return row["occurred_ms"], row["source"], row["event_id"]
