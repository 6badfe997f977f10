"""What was read and not yet inserted: rows by table, dead letters, and where to go on from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from customeros.runtime import stream
from customeros.runtime.stream import Output
from customeros.schemas.codec import Undecodable
from customeros.schemas.topics import ACCOUNT_STATE, CUSTOMER_STATE, DEAD_LETTERS, Topic
from customeros.sinks.clickhouse.inserts import Pending, Target, insert_what_fits
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.rows import rows_of
from customeros.sinks.clickhouse.states import version_of
from customeros.sinks.clickhouse.tables import TABLES, Table

STAGE: Final = "sink"

Place = tuple[Topic, int]

# Their records replace one another; of those that wait together only the newest has to be read.
_STATES: Final = frozenset({CUSTOMER_STATE, ACCOUNT_STATE})


class Buffer:
    """
    Records on their way into ClickHouse.

    `write` may fail half way and be called again; after it all is done but for what was refused.

    Attributes:
        refused: the records given up on, and why.
        positions: the next offset, by place.
        records: how many were added, by topic; `bytes`: of their values.
    """

    def __init__(self) -> None:
        self._waiting: dict[Table, list[Pending]] = {table: [] for table in TABLES}
        self._states: dict[tuple[Place, bytes], list[Record]] = {}
        self.refused: dict[Record, str] = {}
        self.positions: dict[Place, int] = {}
        self.records: Counter[Topic] = Counter()
        self.bytes = 0

    def add(self, record: Record) -> None:
        """Take *record*; one that cannot be read is refused."""
        place = _place(record)
        if record.topic in _STATES:
            self._states.setdefault((place, record.key), []).append(record)
        else:
            self._read(record)
        self.positions[place] = record.offset + 1
        self.records[record.topic] += 1
        self.bytes += len(record.value or b"")

    def move_to(self, place: Place, offset: int) -> None:
        """There is nothing before *offset* that was not taken: the end of the partition."""
        self.positions[place] = offset

    def drop(self, places: Iterable[Place]) -> None:
        """Forget all of *places*: they belong to another process now."""
        gone = set(places)
        for table, rows in self._waiting.items():
            self._waiting[table] = [p for p in rows if _place(p.record) not in gone]
        self._states = {at: states for at, states in self._states.items() if at[0] not in gone}
        self.refused = {r: why for r, why in self.refused.items() if _place(r) not in gone}
        self.positions = {p: offset for p, offset in self.positions.items() if p not in gone}

    def write(self, target: Target) -> Mapping[Table, int]:
        """
        Insert all rows that fit; how many by table.

        Raises:
            Unavailable: what was not inserted stays here.
        """
        for states in self._states.values():
            self._read_newest(states)
        self._states.clear()
        written: dict[Table, int] = {}
        for table, rows in self._waiting.items():
            if rows:
                refused = insert_what_fits(target, table, rows)
                self.refused |= refused
                written[table] = len(rows) - len(refused)
                self._waiting[table] = []
        return written

    def _read(self, record: Record) -> bool:
        """Make rows of *record*; whether it could be read."""
        try:
            rows = [*rows_of(record)]
        except Undecodable:
            self.refused[record] = "undecodable"
            return False
        for table, row in rows:
            self._waiting[table].append(Pending(row, record))
        return True

    def _read_newest(self, states: list[Record]) -> None:
        """Of one customer or organisation: the newest that can be read says all."""
        if len(states) > 1:
            states = sorted(reversed(states), key=version_of, reverse=True)
        any(map(self._read, states))


def letter_of(record: Record, reason: str, *, now: int) -> Output:
    """The dead letter of *record*, given up on at *now* (ms)."""
    as_read = stream.Record(record.offset, record.key, None, record.timestamp, record.value)
    batch = stream.Batch(record.topic, record.partition, [as_read], now)
    return stream.dead_letter(STAGE, batch, as_read, reason)


def may_be_dead_lettered(record: Record) -> bool:
    """Not a dead letter itself: the dead letter of one that is refused would be refused again."""
    return record.topic != DEAD_LETTERS


def _place(record: Record) -> Place:
    return record.topic, record.partition
