"""Which tables the sink writes, the Arrow form of their rows, and how they come to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ms", tz="UTC")
_TEXTS: Final = pa.list_(pa.string())
_TEXT_BY_NAME: Final = pa.map_(pa.string(), pa.string())
_LONG_BY_NAME: Final = pa.map_(pa.string(), pa.int64())
_BOOL_BY_NAME: Final = pa.map_(pa.string(), pa.bool_())


@dataclass(frozen=True, eq=False)
class Table:
    """
    One storage table; equal to itself alone, since a schema takes 9 µs to hash.

    Args:
        columns: name and Arrow type of what is inserted; a row is a tuple in this order. Empty
            where the server reads the columns from Avro: a row is a value, partition and offset.
        personal: the columns that say who a customer is; an erasure has to empty them.
        statement: what inserts Avro; empty where Arrow is inserted.
    """

    name: str
    columns: pa.Schema
    personal: tuple[str, ...] = ()
    statement: str = ""

    @property
    def names(self) -> list[str]:
        """Of all columns that are inserted."""
        said = re.search(r"INSERT INTO \w+ \(([^)]+)\)", self.statement)
        return re.findall(r"\w+", said[1]) if said else list(self.columns.names)


def _script(name: str) -> str:
    """A file of SQL beside this one, without its comments."""
    text = files("customeros.sinks.clickhouse").joinpath(name).read_text()
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


def _columns(**types: pa.DataType) -> pa.Schema:
    return pa.schema([*types.items(), ("_partition", pa.uint32()), ("_offset", pa.uint64())])


_KNOWN_IDENTIFIER: Final = pa.struct(
    {
        "type": pa.string(),
        "value": pa.string(),
        "key": pa.string(),
        "source": pa.string(),
        "first_seen_at": _TIME,
        "last_seen_at": _TIME,
    }
)

_MEMBERSHIP: Final = pa.struct(
    {
        "account_id": pa.string(),
        "role": pa.string(),
        "since": _TIME,
        "last_seen_at": _TIME,
    }
)

EVENTS: Final = Table(
    "events_log",
    pa.schema([]),
    personal=("identifiers", "traits", "properties", "context", "author", "text", "enrichment"),
    statement=_script("events.sql"),
)
ASSIGNMENTS: Final = Table(
    "assignments_log",
    _columns(
        workspace=pa.string(),
        key=pa.string(),
        type=pa.string(),
        customer_id=pa.string(),
        version=pa.uint64(),
        deleted=pa.bool_(),
    ),
)
CUSTOMERS: Final = Table(
    "customers_log",
    _columns(
        workspace=pa.string(),
        customer_id=pa.string(),
        version=pa.uint64(),
        status=pa.string(),
        merged_into=pa.string(),
        updated_at=_TIME,
        first_seen_at=_TIME,
        last_seen_at=_TIME,
        email=pa.string(),
        name=pa.string(),
        phone=pa.string(),
        events=pa.int64(),
        orders=pa.int64(),
        refunds=pa.int64(),
        cancellations=pa.int64(),
        items=pa.int64(),
        messages_in=pa.int64(),
        messages_out=pa.int64(),
        spent=_LONG_BY_NAME,
        placed=_LONG_BY_NAME,
        refunded=_LONG_BY_NAME,
        cancelled=_LONG_BY_NAME,
        traits=pa.string(),
        metrics=pa.string(),
        days=_LONG_BY_NAME,
        consent=_BOOL_BY_NAME,
        identifiers=pa.list_(_KNOWN_IDENTIFIER),
        products=_TEXTS,
        channels=_TEXTS,
        accounts=_TEXTS,
        first_touch=_TEXT_BY_NAME,
        last_touch=_TEXT_BY_NAME,
        memberships=pa.list_(_MEMBERSHIP),
    ),
    personal=(
        *("email", "name", "phone", "traits", "identifiers", "products", "accounts"),
        *("first_touch", "last_touch", "memberships"),
    ),
)
ACCOUNTS: Final = Table(
    "accounts_log",
    _columns(
        workspace=pa.string(),
        account_id=pa.string(),
        version=pa.uint64(),
        status=pa.string(),
        parent=pa.string(),
        updated_at=_TIME,
        first_seen_at=_TIME,
        last_seen_at=_TIME,
        name=pa.string(),
        subsidiaries=_TEXTS,
        subsidiary_count=pa.int64(),
        members=_TEXTS,
        member_count=pa.int64(),
        events=pa.int64(),
        orders=pa.int64(),
        refunds=pa.int64(),
        cancellations=pa.int64(),
        items=pa.int64(),
        messages_in=pa.int64(),
        messages_out=pa.int64(),
        spent=_LONG_BY_NAME,
        placed=_LONG_BY_NAME,
        refunded=_LONG_BY_NAME,
        cancelled=_LONG_BY_NAME,
        traits=pa.string(),
        metrics=pa.string(),
        days=_LONG_BY_NAME,
    ),
)
IDENTIFIERS: Final = Table(
    "identifiers_log",
    _columns(
        workspace=pa.string(),
        type=pa.string(),
        value=pa.string(),
        key=pa.string(),
        customer_id=pa.string(),
        source=pa.string(),
        first_seen_at=_TIME,
        last_seen_at=_TIME,
        since=pa.uint64(),
        version=pa.uint64(),
    ),
    personal=("value",),
)
LINKS: Final = Table(
    "links_log",
    _columns(
        workspace=pa.string(),
        a=pa.string(),
        b=pa.string(),
        a_type=pa.string(),
        b_type=pa.string(),
        strength=pa.int64(),
        rule=pa.string(),
        source=pa.string(),
        event_id=pa.string(),
        occurred_at=_TIME,
        change_id=pa.string(),
        refused=pa.string(),
        detail=pa.string(),
        version=pa.uint64(),
        deleted=pa.bool_(),
    ),
)
DEAD_LETTERS: Final = Table(
    "dead_letters_log",
    _columns(
        workspace=pa.string(),
        source=pa.string(),
        stage=pa.string(),
        reason=pa.string(),
        detail=pa.string(),
        failed_at=_TIME,
        origin_topic=pa.string(),
        origin_partition=pa.int64(),
        origin_offset=pa.int64(),
        key=pa.binary(),
        value=pa.binary(),
    ),
    personal=("key", "value"),
)

# What refers comes last, but is right too where it comes first.
TABLES: Final = (ASSIGNMENTS, EVENTS, CUSTOMERS, IDENTIFIERS, ACCOUNTS, LINKS, DEAD_LETTERS)

_VIEW: Final = re.compile(r"CREATE OR REPLACE VIEW (\w+)")
# Values are taken as they are: dates in traits stay text. An import of old events may span many
# months, and each is a partition.
INSERT_SETTINGS: Final[Mapping[str, str | int]] = {
    "async_insert": 0,
    "input_format_try_infer_dates": 0,
    "input_format_try_infer_datetimes": 0,
    "max_partitions_per_insert_block": 0,
}


def views() -> list[str]:
    """The names under which people ask."""
    return [found[1] for each in statements() if (found := _VIEW.match(each))]


def set_up(public: str, own: str, shown: str) -> Iterator[str]:
    """
    What a sink that starts has to run in its database *own*; all may run again.

    Args:
        public: the database whose views people ask.
        shown: the database that these show now, see `showing`; another one's are left alone.
    """
    taken = own == public and shown not in {"", own}
    for statement in statements():
        if not (taken and _VIEW.match(statement)):
            yield statement
    if shown == own != public:
        yield from showing(public, own)  # they may have got columns


def showing(public: str, own: str) -> Iterator[str]:
    """What makes the views of *public* show those of another database."""
    for view in views():
        yield f"CREATE OR REPLACE VIEW {public}.{view} AS SELECT * FROM {own}.{view}"  # noqa: S608


def statements() -> Iterator[str]:
    """What makes the tables and views in the current database; all may run again."""
    for statement in _script("tables.sql").split(";\n"):
        if statement.strip(" \n;"):
            yield statement.strip(" \n;")
