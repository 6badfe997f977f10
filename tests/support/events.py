"""A stand-in for ClickHouse as the API asks it: events in a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def _place(row: Row) -> tuple[int, str, str]:
    return row["occurred_ms"], row["source"], row["event_id"]
