"""What a statement is, and which ones lead out of the engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.stack.clickhouse import protocol, statements
from customeros.runtime.stack.clickhouse.protocol import EngineError, read_request

_FUNCTIONS = frozenset({"file", "url", "s3", "remote", "executable", "mysql", "python"})
_ENGINES = frozenset({"file", "url", "s3", "mysql", "kafka", "filesystem"})


def _refusal(sql: str) -> str | None:
    return statements.refusal(sql.encode(), functions=_FUNCTIONS, engines=_ENGINES)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('/etc/passwd')",
        "SELECT * FROM FiLe ('/etc/passwd')",
        "SELECT * FROM file/* here */('/etc/passwd')",
        "SELECT * FROM file -- here\n('/etc/passwd')",
        "SELECT * FROM file\u00a0('/etc/passwd')",
        "SELECT * FROM `url`('http://127.0.0.1/')",
        "SELECT * FROM \"url\"('http://127.0.0.1/')",
        "SELECT * FROM “url”('http://127.0.0.1/')",
        r"SELECT * FROM `\x66ile`('/etc/passwd')",
        "SELECT file('/etc/passwd')",
        "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
        "SELECT * APPLY file FROM (SELECT '/etc/passwd')",
        "SELECT arrayMap(file, ['/etc/passwd'])",
        "INSERT INTO FUNCTION file('x.csv') SELECT 1",
        "INSERT INTO t VALUES (file('/etc/passwd'))",
        "DESCRIBE TABLE s3('http://127.0.0.1/')",
        "CREATE TABLE t (a Int8) ENGINE = File(CSV)",
        "CREATE TABLE t (a Int8) ENGINE File(CSV)",
        "CREATE DATABASE d ENGINE = Filesystem",
        "CREATE DICTIONARY d (a Int8) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id'))",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "BACKUP DATABASE d TO Disk('x', 'y')",
        "/* first */ RESTORE DATABASE d FROM Disk('x', 'y')",
        "ATTACH TABLE t FROM '/etc' (a Int8) ENGINE = MergeTree ORDER BY a",
        "SYSTEM SHUTDOWN",
        "SELECT 1; SELECT 2",
        "SELECT 1 /* /* */ ' */, file('/etc/passwd') /* ' */",
        "SELECT x'\\', file('/etc/passwd')",
        "SELECT 'not closed, file(1)",
        "SELECT a$b$ , url('x') , c$b$",
        "SELECT \u2018 ' \u2019, url('x') AS \u2018 ' \u2019",
    ],
)
def test_a_way_out_is_refused(sql: str) -> None:
    """However it is written; each of these was tried on the engine or on its lexer's rules."""
    assert _refusal(sql) is not None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'file(1)', `a b`, count() FROM t WHERE url = 'http://x/' -- url('x')",
        "SELECT domain(url), t.file, max(t.file) FROM t",
        "INSERT INTO db.url (a) VALUES (1)",
        "SELECT $$ file('x') $$, $tag$ url( $tag$",
        "SELECT 'it''s \\' file(1)'",
        "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a",
        "SELECT engine FROM system.tables WHERE engine = 'File'",
        "CREATE DICTIONARY d (a Int8) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT())",
        "SYSTEM RELOAD DICTIONARY d",
        "SELECT source, outfile FROM t;",
        "SELECT 1 # a comment",
        "",
    ],
)
def test_what_stays_inside_is_not(sql: str) -> None:
    """Literals, comments, qualified names and columns may say anything."""
    assert _refusal(sql) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_judged(sql: bytes) -> None:
    """Without an exception, and in the time of one pass."""
    statements.refusal(sql, functions=_FUNCTIONS, engines=_ENGINES)
    statements.insert_head(sql)
    statements.kind_of(sql)
    statements.split_output_format(sql)


@given(st.text(max_size=50))
def test_a_literal_hides_what_it_says(text: str) -> None:
    """Quoted as this platform quotes, no text changes what a statement does."""
    assert _refusal(f"SELECT {protocol.literal(text)} AS a") is None


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", "read"),
        ("-- why\n(SELECT 1)", "read"),
        ("WITH 1 AS x SELECT x", "read"),
        ("WITH 1 AS x INSERT INTO t SELECT x", "insert"),
        ("insert into t values (1)", "insert"),
        ("CREATE TABLE t (a Int8)", "other"),
        ("", "other"),
    ],
)
def test_a_statement_is_known_by_its_verb(sql: str, kind: str) -> None:
    """Comments and parentheses aside."""
    assert statements.kind_of(sql.encode()) == kind


def test_data_begin_behind_the_format_of_an_insert() -> None:
    """And the statement is run on a file that holds them."""
    sql = b"INSERT INTO t (a, `format`) SETTINGS x='a;b', y=1 FORMAT CSV\n1,2\nformat CSV x"

    head = statements.insert_head(sql)

    assert head is not None
    assert sql[head.data_at :] == b"1,2\nformat CSV x"
    assert head.from_file("/a'b").split() == (
        b"INSERT INTO t (a, `format`) FROM INFILE '/a\\'b' COMPRESSION 'none'"
        b" SETTINGS x='a;b', y=1 FORMAT CSV".split()
    )


def test_data_that_read_like_a_statement_are_data() -> None:
    sql = b"INSERT INTO t (a) FORMAT CSV\nSELECT b FROM input('b String') FORMAT CSV\n1"

    head = statements.insert_head(sql)

    assert head is not None
    assert sql[head.data_at :] == b"SELECT b FROM input('b String') FORMAT CSV\n1"
    assert head.structure is None


def test_what_an_insert_selects_from_its_data_it_selects_from_the_file() -> None:
    sql = (
        b"INSERT INTO t (a) SELECT b || ';input' FROM input('b String') WHERE b != '' FORMAT CSV\n1"
    )

    head = statements.insert_head(sql)

    assert head is not None
    assert sql[head.data_at :] == b"1"
    assert head.from_file("/a'b") == (
        b"INSERT INTO t (a) SELECT b || ';input' FROM file('/a\\'b', CSV, 'b String') WHERE b != ''"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t FORMAT Values (1)",
        "INSERT INTO t VALUES ('a format b c')",
        "INSERT INTO t SELECT 1 FORMAT CSV\n",
        "INSERT INTO t SELECT a FROM input('a Int8') FORMAT Nativ",
        "INSERT INTO t FORMAT Nativ",
        "SELECT 1 FORMAT CSV\n1",
    ],
)
def test_other_statements_have_no_data_behind_them(sql: str) -> None:
    """A head that may go on with the next piece of the body is not one yet."""
    assert statements.insert_head(sql.encode()) is None


@pytest.mark.parametrize(
    ("sql", "head", "name"),
    [
        ("SELECT 1 FORMAT Native", "SELECT 1", "Native"),
        ("SELECT 1\n FORMAT JSON SETTINGS a=1;", "SELECT 1\nSETTINGS a=1", "JSON"),
        ("SELECT 'format CSV'", "SELECT 'format CSV'", None),
    ],
)
def test_the_output_format_is_taken_off(sql: str, head: str, name: str | None) -> None:
    """So that its rows can be streamed in it."""
    assert statements.split_output_format(sql.encode()) == (head.encode(), name)


def test_what_is_no_parameter_of_the_protocol_is_a_setting() -> None:
    """Query parameters apart."""
    request = read_request(
        {"query": "SELECT 1", "param_a": "1", "max_threads": "2", "session_timeout": "x"},
        {},
        get=False,
    )

    assert request.settings == {"max_threads": "2"}
    assert request.parameters == {"a": "1"}
    assert request.session_seconds == 60


@pytest.mark.parametrize("query", [{"a b": "1"}, {"compress": "1"}, {"role": "admin"}])
def test_what_cannot_be_had_is_said(query: dict[str, str]) -> None:
    """In the engine's own kind of error."""
    with pytest.raises(EngineError, match=r"Code: \d+\. DB::Exception: "):
        read_request(query, {}, get=False)


@given(st.text(max_size=20).filter(lambda name: ":" not in name and name), st.text(max_size=20))
def test_credentials_are_read_from_basic_authentication(name: str, password: str) -> None:
    """Any name without a colon, any password."""
    import base64

    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()

    assert protocol.credentials({}, {"Authorization": f"Basic {encoded}"}) == (name, password)


def test_broken_credentials_are_nobodys() -> None:
    """And not the default user's."""
    for broken in ("ÿ", "a", "/w=="):
        with pytest.raises(EngineError, match="AUTHENTICATION_FAILED"):
            protocol.credentials({}, {"Authorization": f"Basic {broken}"})
