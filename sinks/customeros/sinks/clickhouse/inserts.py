"""One insert into ClickHouse: what its errors mean, and which rows it refuses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from customeros.runtime import clickhouse
from customeros.runtime.errors import Misconfigured, PoisonRecord, Unavailable
from customeros.runtime.metrics import SINK_FLUSH_SECONDS
from customeros.runtime.settings import Settings
from customeros.schemas.codec import RESOLVED_EVENT, Undecodable
from customeros.sinks.clickhouse.avro_file import avro_file
from customeros.sinks.clickhouse.record import Record, Row
from customeros.sinks.clickhouse.tables import INSERT_SETTINGS, Table, set_up, views

_DEPENDENCY: Final = "clickhouse"
_CONNECT_SECONDS: Final = 5
# A batch is at most 10,000 rows; longer means that the server hangs.
ANSWER_SECONDS: Final = 60
# Raised when the meaning of a row changes: a block known by its token is not inserted again.
_ROWS_VERSION: Final = 1

# ClickHouse's codes (ErrorCodes.cpp) for a server that cannot take an insert now.
_BUSY: Final = {
    159: "TIMEOUT_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    499: "S3_ERROR",
    722: "ASYNC_LOAD_WAIT_FAILED",
    733: "TABLE_IS_BEING_RESTARTED",
    745: "SERVER_OVERLOADED",
    762: "HTTP_CONNECTION_LIMIT_REACHED",
    999: "KEEPER_EXCEPTION",
}
# For a value that does not fit its column. Not those that say that a column does not fit the
# table: they would refuse every row, so they stop the sink instead.
_MISFIT: Final = {
    6: "CANNOT_PARSE_TEXT",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    407: "DECIMAL_OVERFLOW",
    467: "CANNOT_PARSE_BOOL",
    469: "VIOLATED_CONSTRAINT",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
}
_NO_ACCESS: Final = {
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
}


class Pending(NamedTuple):
    """A row that waits for its insert, and the record it came from."""

    row: Row
    record: Record


class InsertFailed(Exception):
    """
    ClickHouse refused an insert for a reason that is neither the row's nor the moment's.

    Its own text may quote rows, so only the code is kept.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"ClickHouse answered with error code {code}")
        self.code = code


class Target(Protocol):
    """Where rows go."""

    def insert(self, table: Table, rows: Sequence[Pending]) -> None:
        """
        Insert all of *rows* or none; again with the same rows is harmless.

        Raises:
            PoisonRecord: at least one row does not fit its table.
            Unavailable: try again later.
        """


class ClickHouse:
    """
    A `Target` over HTTP.

    Raises:
        Misconfigured: the server refuses the user.
        Unavailable: it does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        pa.array([])  # imports pandas if it is there: now, not while the first batch waits
        with meaning():
            with connect(settings) as server:
                server.command(create_database(settings.database))
                shown = _shown(server, settings.clickhouse.database)
            self._connection = connect(settings, settings.database)
            for statement in set_up(settings.clickhouse.database, settings.database, shown):
                self._connection.command(statement)

    def insert(self, table: Table, rows: Sequence[Pending]) -> None:
        token = {"insert_deduplication_token": block_token(table, rows)}
        with SINK_FLUSH_SECONDS.labels(table.name).time():
            insert = self._insert_avro if table.statement else self._insert_arrow
            insert(table, rows, {**INSERT_SETTINGS, **token})

    def _insert_arrow(
        self, table: Table, rows: Sequence[Pending], settings: dict[str, str | int]
    ) -> None:
        try:
            arrow = arrow_table(table, (pending.row for pending in rows))
        except (pa.ArrowException, OverflowError, UnicodeError) as error:
            raise PoisonRecord("row_refused", f"a value does not fit {table.name}") from error
        with meaning():
            self._connection.insert_arrow(table.name, arrow, settings=settings)

    def _insert_avro(
        self, table: Table, rows: Sequence[Pending], settings: dict[str, str | int]
    ) -> None:
        schema = RESOLVED_EVENT.newest.definition
        file = avro_file(schema, (pending.row for pending in rows))
        with meaning():
            try:
                self._connection.command(table.statement, data=file, settings=settings)
            except ClickHouseError as error:
                if getattr(error, "code", None) is not None:
                    # What it says of bytes that are no event may be anything.
                    for pending in rows:
                        _must_decode(pending.record)
                raise

    def close(self) -> None:
        """Give the connections back; calling twice is harmless."""
        self._connection.close()


def connect(settings: Settings, database: str | None = None) -> Client:
    """A client of *database*; its errors are the driver's, see `meaning`."""
    return clickhouse.connect(
        settings,
        database,
        compress="lz4",
        connect_timeout=_CONNECT_SECONDS,
        send_receive_timeout=ANSWER_SECONDS,
        query_retries=0,
        client_name="customeros-sink",
    )


def _must_decode(record: Record) -> None:
    try:
        RESOLVED_EVENT.decode(record.value or b"")
    except Undecodable as error:
        raise PoisonRecord("undecodable", str(error)) from error


def _shown(server: Client, public: str) -> str:
    """The database whose tables the views of *public* show; empty: there are no views yet."""
    asked = (
        "SELECT as_select FROM system.tables WHERE database = {of:String} AND name = {view:String}"
    )
    found = server.query(asked, parameters={"of": public, "view": views()[0]}).result_rows
    named = re.search(r"FROM (\w+)\.", str(found[0][0])) if found else None
    return named[1] if named else ""


def create_database(name: str) -> str:
    """The statement that makes sure of a database."""
    return f"CREATE DATABASE IF NOT EXISTS {name} ENGINE = Atomic"


def insert_what_fits(target: Target, table: Table, rows: Sequence[Pending]) -> dict[Record, str]:
    """
    Insert *rows* but those that ClickHouse refuses; the records of these, in order, and why.

    A refused batch is halved until each row that does not fit stands alone.

    Raises:
        Unavailable: some may be inserted; again with the same rows is harmless.
    """
    try:
        target.insert(table, rows)
    except PoisonRecord as error:
        if len(rows) == 1:
            return {rows[0].record: error.reason}
        half = len(rows) // 2
        refused = insert_what_fits(target, table, rows[:half])
        return refused | insert_what_fits(target, table, rows[half:])
    return {}


def arrow_table(table: Table, rows: Iterable[Row]) -> pa.Table:
    """*rows* column by column; ArrowException where a value is not of its column's type."""
    return pa.Table.from_arrays(
        [
            pa.array(values, column.type)
            for values, column in zip(zip(*rows, strict=True), table.columns, strict=True)
        ],
        schema=table.columns,
    )


def block_token(table: Table, rows: Sequence[Pending]) -> str:
    """
    The name of the block that *rows* are: of which records, by partition from which to which.

    Rows are functions of their records, so equal names have equal rows, whichever process sends
    them; the server drops a block that it has, before FINAL has to. States that a newer one
    replaces leave no doubt either: the newer one is in the block too, so it is in the range. A
    record's time is part of its name, so a topic made anew is not taken for the old one.
    """
    ranges: dict[tuple[str, int], tuple[tuple[int, int], tuple[int, int], int]] = {}
    for _, record in rows:
        place = record.topic.name, record.partition
        this = record.offset, record.timestamp
        first, last, count = ranges.get(place, (this, this, 0))
        ranges[place] = min(first, this), max(last, this), count + 1
    name = f"{_ROWS_VERSION} {table.name} {sorted(ranges.items())}"
    return hashlib.sha256(name.encode()).hexdigest()[:32]


@contextmanager
def meaning() -> Iterator[None]:
    """Turn the driver's errors into ours (see `Target`, `ClickHouse`), by who is at fault."""
    try:
        yield
    except ClickHouseError as error:
        code = getattr(error, "code", None)
        if code in _MISFIT:
            raise PoisonRecord("row_refused", f"ClickHouse {code} {_MISFIT[code]}") from None
        if code in _NO_ACCESS:
            raise Misconfigured(
                f"ClickHouse refuses the user ({code} {_NO_ACCESS[code]}): see "
                "CUSTOMEROS_CLICKHOUSE__USER and CUSTOMEROS_CLICKHOUSE__PASSWORD"
            ) from None
        if code in _BUSY or code is None:
            raise Unavailable(_DEPENDENCY) from None
        raise InsertFailed(code) from None
