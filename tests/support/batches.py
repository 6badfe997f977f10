"""Records for the sink's batches, and a target that refuses."""

from __future__ import annotations

from collections.abc import Sequence

from customeros.runtime.errors import PoisonRecord, Unavailable
from customeros.schemas.codec import RESOLVED_EVENT
from customeros.schemas.event import ResolvedEvent
from customeros.schemas.topics import RESOLVED
from customeros.sinks.clickhouse.inserts import Pending
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.tables import Table
from support.sink import NOON, an_event


class FakeTarget:
    """Takes a batch unless it has an offset of `refused`; counts how often it was away."""

    def __init__(self, refused: frozenset[int] = frozenset(), away: int = 0) -> None:
        self.refused = refused
        self.away = away
        self.inserted: list[int] = []

    def insert(self, table: Table, rows: Sequence[Pending]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("clickhouse")
        offsets = [pending.record.offset for pending in rows]
        if self.refused & set(offsets):
            raise PoisonRecord("row_refused")
        self.inserted += offsets


def a_record(offset: int, *, partition: int = 0, value: bytes | None = None) -> Record:
    resolved = ResolvedEvent(event=an_event(offset), customer_id="c", assignment_version=0)
    value = value or RESOLVED_EVENT.encode(resolved)
    return Record(RESOLVED, partition, offset, b"shop/c", value, NOON + offset)
