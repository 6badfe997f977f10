"""
The contract of ClickHouse's HTTP interface, kept by stock clients.

The first part also passes against a real server (`CUSTOMEROS_TEST_CLICKHOUSE_URL`); the second is
about the embedded engine alone.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from customeros.runtime.stack.clickhouse import statements
from customeros.runtime.stack.ports import port_taken
from support.ports import free_port
from support.servers import embedded_clickhouse
from support.waiting import until

pytestmark = pytest.mark.integration

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def client(clickhouse_url: str, clickhouse_database: str) -> Iterator[Client]:
    """A stock client whose database has a table `t (id, name, at, tags)`."""
    with clickhouse_connect.get_client(dsn=clickhouse_url, database=clickhouse_database) as client:
        client.command(
            "CREATE TABLE t (id UInt64, name String, at DateTime64(3, 'UTC'), tags Array(String))"
            " ENGINE = MergeTree ORDER BY id"
        )
        yield client


def test_rows_come_back_as_they_were_inserted(client: Client) -> None:
    """Bytes that mean something to a text format included; the summary counts them."""
    rows: list[list[Any]] = [[1, "x\x00\n\t'", _NOON, ["a", "b"]], [2, "ü", _NOON, []]]

    written = client.insert("t", rows, column_names=["id", "name", "at", "tags"]).written_rows

    assert written == 2
    found = client.query("SELECT * FROM t ORDER BY id", query_tz="UTC").result_rows
    assert [[*row[:2], row[3]] for row in found] == [[*row[:2], row[3]] for row in rows]
    assert {row[2].replace(tzinfo=UTC) for row in found} == {_NOON}


@pytest.mark.parametrize("compression", [False, "lz4", "zstd", "gzip"])
def test_inserts_may_be_compressed(
    clickhouse_url: str, client: Client, compression: str | bool
) -> None:
    """Over several blocks each."""
    with clickhouse_connect.get_client(
        dsn=clickhouse_url, database=client.database, compress=compression
    ) as other:
        columns: list[Any] = [list(range(200_000)), ["x" * 10] * 200_000]
        other.insert("t", columns, column_names=["id", "name"], column_oriented=True)

        assert other.query("SELECT count(), uniqExact(id) FROM t").first_row == (200_000, 200_000)


def test_arrow_goes_in_and_comes_out(client: Client) -> None:
    """The sink's way."""
    table = pa.table({"id": pa.array([7, 8], pa.uint64()), "name": ["seven", "eight"]})

    assert client.insert_arrow("t", table).written_rows == 2
    assert client.query_arrow("SELECT id, toString(name) AS name FROM t ORDER BY id")[
        "id"
    ].to_pylist() == [7, 8]


def test_data_may_follow_a_statement_in_the_url(client: Client) -> None:
    """As compressed raw inserts do."""
    body = gzip.compress(b"20\n21\n")

    summary = client.raw_insert("t", ["id"], body, fmt="CSV", compression="gzip")

    assert summary.written_rows == 2


def test_parameters_are_bound_by_the_server(client: Client) -> None:
    """Short ones in the URL, long ones in a form; a quote changes nothing."""
    found = client.query(
        "SELECT {a:Array(UInt64)}, {s:String}", parameters={"a": [1, 2], "s": "it's \\ {x:Int8}"}
    )

    assert found.first_row == ([1, 2], "it's \\ {x:Int8}")
    assert client.query("SELECT length({s:String})", parameters={"s": "x" * 200_000}).first_row == (
        200_000,
    )


def test_settings_of_one_statement_do_not_leak_into_the_next(client: Client) -> None:
    """Nor does a failed statement's; what SET has set in the session stays."""
    setting = "SELECT getSetting('max_result_rows')"
    client.command("SET max_result_rows = 500")

    assert client.query(setting, settings={"max_result_rows": 77}).first_row == (77,)
    with pytest.raises(DatabaseError):
        client.query("SELECT nothing_of_the_kind", settings={"max_result_rows": 78})

    assert client.query(setting).first_row == (500,)


def test_temporary_tables_live_in_their_session(clickhouse_url: str, client: Client) -> None:
    """And nobody else sees them."""
    client.command("CREATE TEMPORARY TABLE mine (a Int8)")
    client.insert("mine", [[1], [2]], column_names=["a"], database="")

    assert client.query("SELECT sum(a) FROM mine").first_row == (3,)
    with (
        clickhouse_connect.get_client(dsn=clickhouse_url) as other,
        pytest.raises(DatabaseError, match="UNKNOWN_TABLE"),
    ):
        other.query("SELECT * FROM mine")


def test_a_session_serves_one_statement_at_a_time(clickhouse_url: str) -> None:
    """The second is told so, and later may."""
    slow = "SELECT sum(sleepEachRow(0.05)) FROM numbers(40) SETTINGS max_block_size = 1"
    place = f"{clickhouse_url}/?session_id=shared"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_post, place, slow)
        until(lambda: _runs(clickhouse_url, "sleepEachRow(0.05)"), what="it runs")

        assert _error(place, "SELECT 1").startswith("373 ")
        first.result(30)

    assert _post(place, "SELECT 1") == b"1\n"


def test_rows_are_streamed(client: Client) -> None:
    """Two million of them, block by block."""
    with client.query_row_block_stream(
        "SELECT number, toString(number) FROM numbers(2000000)"
    ) as stream:
        assert sum(len(block) for block in stream) == 2_000_000


def test_a_stream_that_is_left_early_lets_its_session_go(client: Client) -> None:
    """The next statement of the same client runs."""
    with client.query_row_block_stream("SELECT number FROM numbers(50000000)") as stream:
        next(iter(stream))

    until(lambda: client.query("SELECT 1").first_row == (1,), what="the session is free")


def test_an_error_in_mid_stream_is_an_error_for_the_client(client: Client) -> None:
    """Not a short answer."""
    query = "SELECT throwIf(number = 1500000) FROM numbers(2000000) SETTINGS max_block_size = 65536"

    with (
        pytest.raises(StreamFailureError, match="throwIf"),
        client.query_row_block_stream(query) as stream,
    ):
        for _ in stream:
            pass


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT nothing_of_the_kind", 47),
        ("SELECT * FROM nothing_of_the_kind", 60),
        ("SELEC 1", 62),
        ("USE nothing_of_the_kind", 81),
    ],
)
def test_errors_carry_clickhouses_codes(client: Client, statement: str, code: int) -> None:
    """Clients tell them apart by these."""
    with pytest.raises(DatabaseError) as caught:
        client.command(statement)

    assert caught.value.code == code


def test_an_unknown_setting_is_refused(clickhouse_url: str) -> None:
    """By its name."""
    assert "UNKNOWN_SETTING" in _error(f"{clickhouse_url}/?nothing_of_the_kind=1", "SELECT 1")


def test_every_reading_statement_answers_with_rows(clickhouse_url: str) -> None:
    """Whether the engine streams it or not."""
    for statement in (
        "SHOW DATABASES",
        "SHOW PROCESSLIST",
        "DESCRIBE system.one",
        "EXPLAIN SELECT 1",
    ):
        assert _post(clickhouse_url, statement)


def test_a_get_only_reads(clickhouse_url: str, clickhouse_database: str) -> None:
    """So a link cannot change anything."""
    place = f"{clickhouse_url}/?database={clickhouse_database}&query="
    with urllib.request.urlopen(f"{place}SELECT%201%20FORMAT%20JSON") as answer:  # noqa: S310
        assert json.load(answer)["data"] == [{"1": 1}]

    assert "READONLY" in _error(f"{place}CREATE%20TABLE%20x%20(a%20Int8)%20ENGINE=Memory", None)


def test_an_insert_token_makes_a_repeated_insert_harmless(client: Client) -> None:
    """What the sink's exactly-once effect stands on."""
    client.command(
        "CREATE TABLE once (a Int64) ENGINE = MergeTree ORDER BY a"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    for _ in range(2):
        client.insert(
            "once", [[1], [2]], column_names=["a"], settings={"insert_deduplication_token": "t-0-1"}
        )

    assert client.query("SELECT count() FROM once").first_row == (2,)


def test_the_asynchronous_client_works_too(clickhouse_url: str, client: Client) -> None:
    """Fifty statements at once."""

    async def fifty() -> list[int]:
        other = await clickhouse_connect.get_async_client(
            dsn=clickhouse_url, database=client.database, autogenerate_session_id=False
        )
        try:
            await other.insert("t", [[1, "async"]], column_names=["id", "name"])
            results = await asyncio.gather(
                *(other.query("SELECT {i:UInt32} * 2", parameters={"i": i}) for i in range(50))
            )
        finally:
            await other.close()
        return [result.result_rows[0][0] for result in results]

    assert asyncio.run(fifty()) == [2 * i for i in range(50)]
    assert client.query("SELECT name FROM t").first_row == ("async",)


def _post(url: str, statement: str) -> bytes:
    request = urllib.request.Request(url, data=statement.encode(), method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return bytes(response.read())


def _error(url: str, statement: str | None) -> str:
    """The code and the text of the error that this is answered with."""
    data = None if statement is None else statement.encode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, data=data, timeout=60)  # noqa: S310
    with caught.value as error:
        return f"{error.headers['X-ClickHouse-Exception-Code']} {error.read().decode()}"


def _runs(url: str, words: str) -> bool:
    """Whether a statement with these words is running (the question itself has none of them)."""
    return words.encode() in _post(url, "SELECT query FROM system.processes")


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded engine with a password, with the user `reader`, and with little memory."""
    guards = {
        "CUSTOMEROS_CLICKHOUSE__PASSWORD": "owner's",
        "CUSTOMEROS_CLICKHOUSE__READER_PASSWORD": "reader's",
        "CUSTOMEROS_CLICKHOUSE__MEMORY_MB": "700",
    }
    home = tmp_path_factory.mktemp("guarded")
    with embedded_clickhouse(home, env=guards) as (url, _pid):
        yield url


def _client(url: str, user: str, password: str) -> Client:
    return clickhouse_connect.get_client(dsn=url, username=user, password=password)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/passwd')",
        "SELECT * FROM `/etc/passwd`",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM default.`/etc/passwd`",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
        "SELECT * FROM remote('127.0.0.1', 'system', 'one')",
        "SELECT 1 INTO OUTFILE '/tmp/customeros-outfile'",
        "CREATE TABLE x (a Int8) ENGINE = File(CSV)",
        "CREATE DATABASE x ENGINE = Filesystem('/etc')",
    ],
)
def test_nobody_gets_out_of_the_engine(guarded_url: str, statement: str) -> None:
    """The owner neither."""
    with _client(guarded_url, "default", "owner's") as client, pytest.raises(DatabaseError):
        client.command(statement)


def test_a_reader_reads_and_changes_nothing(guarded_url: str) -> None:
    """Settings included."""
    with _client(guarded_url, "default", "owner's") as owner:
        owner.command("CREATE TABLE seen (a Int8) ENGINE = MergeTree ORDER BY a")
        owner.insert("seen", [[1]], column_names=["a"])
    with _client(guarded_url, "reader", "reader's") as reader:
        assert reader.query("SELECT a FROM seen").first_row == (1,)
        for statement in ("INSERT INTO seen VALUES (2)", "DROP TABLE seen", "SET max_threads = 1"):
            with pytest.raises(DatabaseError, match="READONLY"):
                reader.command(statement)


def test_a_statement_that_needs_too_much_memory_is_refused(guarded_url: str) -> None:
    """Whatever it sets for itself; the others are answered as before."""
    gathers = "SELECT length(groupArray(number)) FROM numbers(200000000)"
    with _client(guarded_url, "default", "owner's") as owner:
        with pytest.raises(DatabaseError, match="MEMORY_LIMIT_EXCEEDED"):
            owner.query(gathers, settings={"max_memory_usage": 0})
        assert owner.command("SELECT 1") == 1


@pytest.mark.parametrize(
    ("user", "password"), [("default", ""), ("reader", "owner's"), ("nobody", "")]
)
def test_a_wrong_password_is_refused(guarded_url: str, user: str, password: str) -> None:
    """As an unknown user is."""
    with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
        _client(guarded_url, user, password)


def test_rows_survive_kill_9_and_the_default_database_is_kept(tmp_path: Path) -> None:
    """What was acknowledged before is there after."""
    with embedded_clickhouse(tmp_path) as (url, pid):
        _post(url, "CREATE TABLE kept (a Int64) ENGINE = MergeTree ORDER BY a")
        _post(url, "INSERT INTO kept SELECT number FROM numbers(1000)")
        os.kill(pid, signal.SIGKILL)

    with embedded_clickhouse(tmp_path) as (url, _pid):
        assert _post(url, "SELECT count() FROM default.kept") == b"1000\n"
        durable = "SELECT value FROM system.merge_tree_settings WHERE name = 'fsync_after_insert'"
        assert _post(url, durable) == b"1\n"


def test_an_empty_engine_starts_again_and_again(tmp_path: Path) -> None:
    """With a default database that never had a table, that has one, and that has none any more."""
    made = "CREATE TABLE t (a Int8) ENGINE = Memory"
    for statement in ("SELECT 1", made, "DROP TABLE t", "SELECT 1"):
        with embedded_clickhouse(tmp_path) as (url, _pid):
            _post(url, "CREATE DATABASE IF NOT EXISTS other ENGINE = Atomic")
            _post(url, statement)

            engines = "SELECT DISTINCT engine FROM system.databases WHERE engine != 'Memory'"
            assert _post(url, engines) == b"Atomic\n"


def test_a_second_process_on_the_same_data_is_told_why_it_cannot(tmp_path: Path) -> None:
    """And a taken port is named with the setting that changes it."""
    port = free_port()
    with embedded_clickhouse(tmp_path / "one", port=port):
        same_data = _start_clickhouse(tmp_path / "one", free_port())
        same_port = _start_clickhouse(tmp_path / "two", port)

    assert same_data.returncode == same_port.returncode == 1
    assert "Another process has the embedded ClickHouse's data" in same_data.stderr
    assert f"Port {port} is taken by " in same_port.stderr
    assert "CUSTOMEROS_CLICKHOUSE__PORT" in same_port.stderr


def test_sigterm_stops_it_within_seconds_though_a_statement_runs(tmp_path: Path) -> None:
    """What has not answered was not promised."""
    port = free_port()
    with embedded_clickhouse(tmp_path, port=port) as (url, pid), ThreadPoolExecutor(1) as pool:
        slow = "SELECT sum(sleepEachRow(1)) FROM numbers(120) SETTINGS max_block_size = 1"
        running = pool.submit(_post, url, slow)
        until(lambda: _runs(url, "sleepEachRow(1)"), what="it runs")
        os.kill(pid, signal.SIGTERM)

        until(lambda: not port_taken(port), what="the port is free", seconds=20)
        assert running.exception(30) is not None


def _start_clickhouse(home: Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "customeros.runtime.stack", "clickhouse"],
        env={
            **os.environ,
            "CUSTOMEROS_HOME": str(home),
            "CUSTOMEROS_CLICKHOUSE__PORT": str(port),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_the_engine_knows_and_we_do_not_is_refused(guarded_url: str) -> None:
    """A newer engine's functions and engines lead out until somebody has looked at them."""
    with _client(guarded_url, "default", "owner's") as client:
        functions = _names(client, "table_functions") - statements.HARMLESS_FUNCTIONS
        engines = _names(client, "table_engines") - statements.HARMLESS_ENGINES
        assert {"file", "s3", "python", "executable", "mysql"} <= functions
        assert {"file", "kafka", "url", "postgresql"} <= engines

        for name in functions:
            _denied(client, f"SELECT * FROM {name}()")  # noqa: S608
        for name in engines:
            _denied(client, f"CREATE TABLE x (a Int8) ENGINE = {name}()")


def _names(client: Client, table: str) -> set[str]:
    found = client.query(f"SELECT lower(name) FROM system.{table}")  # noqa: S608
    return {row[0] for row in found.result_rows}


def _denied(client: Client, statement: str) -> None:
    with pytest.raises(DatabaseError, match="ACCESS_DENIED"):
        client.command(statement)
