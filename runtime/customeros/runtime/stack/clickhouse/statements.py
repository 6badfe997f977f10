"""
What kind of statement is this, and may it be run for a caller from outside?

The engine runs with the rights of its process and would read and write any file of it, open any
connection, and run any program. So a statement that names a way out is refused, whoever asks;
literals and comments are not looked at, and whatever this cannot read as the engine would is
refused as well. Everything here is bytes: statements need not be valid UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a statement may name after ENGINE; the rest of what the engine knows leads outside.
HARMLESS_ENGINES = _words(
    "atomic memory log tinylog stripelog null set join buffer view materializedview dictionary"
    " merge alias generaterandom mergetree replacingmergetree summingmergetree"
    " aggregatingmergetree collapsingmergetree versionedcollapsingmergetree coalescingmergetree"
    " graphitemergetree timeseries"
)
# Table functions that stay inside.
HARMLESS_FUNCTIONS = _words(
    "numbers numbers_mt zeros zeros_mt primes generaterandom generateseries generate_series values"
    " sqlstandardvalues null view viewifpermitted viewexplain merge dictionary input format loop"
    " fuzzquery fuzzjson arrowstream mergetreeindex mergetreeprojection mergetreetextindex"
    " mergetreeanalyzeindexes mergetreeanalyzeindexesuuid mergetreecodecblockcounts"
    " timeseriesdata timeseriestags timeseriesmetrics timeseriesmetricfamilies timeseriessamples"
    " timeseriesselector prometheusquery prometheusqueryrange"
)
# Ordinary functions that read files. They work by mere mention (`APPLY file`, `arrayMap(file, …)`),
# so no unqualified mention passes.
_FILE_FUNCTIONS = frozenset({"file", "catboostevaluate"})
_DICTIONARY_SOURCES = frozenset({"clickhouse", "null"})
_FORBIDDEN_SYSTEM = frozenset({"shutdown", "kill", "suspend", "reload_config", "instrument"})
_READS = _words("select with show describe desc exists explain check from values")

# Read as the engine's own lexer does; what it takes for (Unicode) space is outside ASCII, so all of
# that is. Possessive, so that a hostile statement costs no more than a long one.
_TOKEN = re.compile(
    rb"""
    (?P<space>   [\x00-\x20]++ | --[^\n]*+ | \#[\ !][^\n]*+ | /\*.*?\*/ )
  | (?P<literal> '(?:[^'\\]++|\\.|'')*+' | \$(?P<tag>\w*+)\$.*?\$(?P=tag)\$
               | \xe2\x80\x98.*?\xe2\x80\x99 )
  | (?P<quoted>  `(?:[^`\\]++|\\.|``)*+` | "(?:[^"\\]++|\\.|"")*+"
               | \xe2\x80\x9c.*?\xe2\x80\x9d )
  | (?P<word>    [A-Za-z_][\w$]*+ )
  | (?P<number>  \d\w*+ )
  | (?P<foreign> [\x7f-\xff] )
  | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
# The data of an insert begin in its first 64 kB, and a FORMAT clause ends in its last 4.
HEAD_BYTES, _TAIL_BYTES = 64 << 10, 4 << 10
_INSERT_WITH_DATA = re.compile(
    rb"""
    \s*+ (?P<into> insert \s++ into \b [^;']*? )
    (?P<settings> \s settings \s++ (?:[^;']|'(?:[^'\\]|\\.)*+')*? )? \s++
    format \s++ (?!values\b) (?P<format>\w++) [\ \t]*+ (?: \r?\n | (?=[^\s;]) )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# Not possessive around the lookahead: Python before 3.11.5, Debian's too, matches that wrongly (its
# issue 106052).
_INSERT_FROM_INPUT = re.compile(
    rb"""
    \s*+ (?P<into> insert \s++ into \b (?: (?!\binput\b) [^;'] | '(?:[^'\\]|\\.)*+' )* )
    input \s*+ \( \s*+ (?P<structure> '(?:[^'\\]|\\.)*+' ) \s*+ \)
    (?P<settings> (?:[^;']|'(?:[^'\\]|\\.)*+')*? ) \s++
    format \s++ (?P<format>\w++) [\ \t]*+ (?: \r?\n | (?=[^\s;]) )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_OUTPUT_FORMAT = re.compile(
    rb"\s*\bformat\s+(?P<format>\w+)\s*(?P<settings>settings\s[^;]*)?;?\s*\Z", re.IGNORECASE
)

Kind = Literal["read", "insert", "other"]


@dataclass(frozen=True)
class Token:
    """A word, a quoted identifier without its quotes, or any other single character."""

    text: bytes
    kind: str

    @property
    def name(self) -> str:
        """Lower case; empty unless it can name something."""
        return self.text.decode(errors="replace").lower() if self.kind in {"word", "quoted"} else ""


@dataclass(frozen=True)
class InsertHead:
    """
    `INSERT INTO … [SETTINGS …] FORMAT X` and where its data begin.

    Args:
        structure: of the data, where the statement selects from `input('…')`; a literal.
    """

    into: bytes
    settings: bytes
    format: str
    data_at: int
    structure: bytes | None = None

    def from_file(self, path: str) -> bytes:
        """The same insert, of the data in a file; so the engine reports the rows it wrote."""
        quoted = path.replace("\\", "\\\\").replace("'", "\\'").encode()
        if self.structure is not None:
            file = b"file('%b', %b, %b)" % (quoted, self.format.encode(), self.structure)
            return self.into + file + self.settings
        return b"%b FROM INFILE '%b' COMPRESSION 'none' %b FORMAT %b" % (
            self.into,
            quoted,
            self.settings,
            self.format.encode(),
        )


def tokens(sql: bytes) -> Iterator[Token]:
    """The words that the engine would act on, in order: no space, comments or literals."""
    for match in _TOKEN.finditer(sql):
        kind = str(match.lastgroup)
        match kind:
            case "space" | "foreign":
                if match[0].startswith(b"/*") and b"/*" in match[0][2:]:
                    yield Token(b"/*", "nested")  # the engine nests comments, this does not
            case "literal" | "number":
                yield Token(b"", kind)
            case "quoted":
                quotes = 3 if match[0][0] == 0xE2 else 1
                yield Token(match[0][quotes:-quotes], kind)
            case _:
                yield Token(match[0], kind)


def kind_of(sql: bytes) -> Kind:
    """Whether it answers with rows, inserts, or does something else."""
    verb = verb_of(sql)
    if verb == "with" and any(token.name == "insert" for token in tokens(sql)):
        return "insert"
    if verb == "insert":
        return "insert"
    return "read" if verb in _READS else "other"


def verb_of(sql: bytes) -> str:
    """The first word, in lower case."""
    return next((token.name for token in tokens(sql) if token.text != b"("), "")


def insert_head(sql: bytes) -> InsertHead | None:
    """The head of an insert with data behind it; None for anything else."""
    head = sql[:HEAD_BYTES]
    structure = None
    # First, since the other would look through the data for its `input`.
    match = _INSERT_WITH_DATA.match(head)
    if match is None or any(t.name in {"select", "values", "with"} for t in tokens(match["into"])):
        match = _INSERT_FROM_INPUT.match(head)
        if match is None:
            return None
        structure = match["structure"]
    return InsertHead(
        match["into"], match["settings"] or b"", match["format"].decode(), match.end(), structure
    )


def split_output_format(sql: bytes) -> tuple[bytes, str | None]:
    """A reading statement without its trailing FORMAT clause, and the format that it names."""
    tail_at = max(0, len(sql) - _TAIL_BYTES)
    match = _OUTPUT_FORMAT.search(sql[tail_at:])
    if match is None:
        return sql, None
    settings = match["settings"]
    head = sql[: tail_at + match.start()] + (b"\n" + settings if settings else b"")
    return head, match["format"].decode()


def refusal(sql: bytes, *, functions: frozenset[str], engines: frozenset[str]) -> str | None:
    """
    Why this statement is not run, or None.

    Args:
        functions: names, in lower case, of table functions that lead outside.
        engines: names, in lower case, of table and database engines that do.
    """
    found = list(tokens(sql))
    while found and found[-1].text == b";":
        found.pop()
    verb = found[0].name if found else ""
    if verb in {"backup", "restore", "attach"}:
        return f"{verb.upper()} is for the machine's owner"
    if verb == "system" and len(found) > 1 and found[1].name in _FORBIDDEN_SYSTEM:
        return f"SYSTEM {found[1].name.upper()} is for the machine's owner"
    padded = [Token(b"", "start"), *found, Token(b"", "end"), Token(b"", "end")]
    for before, token, after, later in zip(
        padded, padded[1:], padded[2:], padded[3:], strict=False
    ):
        if reason := _way_out(before, token, after, later, functions=functions, engines=engines):
            return reason
    return None


def _way_out(
    before: Token,
    token: Token,
    after: Token,
    later: Token,
    *,
    functions: frozenset[str],
    engines: frozenset[str],
) -> str | None:
    name, called = token.name, after.text == b"("
    reason: str | None = None
    if token.kind == "nested":
        reason = "nested comments are not understood"
    elif token.kind == "quoted" and b"\\" in token.text:
        reason = "a name in quotes has no escapes"
    elif token.kind == "other" and token.text in {b"'", b'"', b"`"}:
        reason = "a quote is not closed"
    elif token.text == b";":
        reason = "one statement at a time"
    elif (before.name, name) in {("into", "outfile"), ("from", "infile")}:
        reason = "INTO OUTFILE and FROM INFILE are not allowed"
    elif before.text == b".":
        reason = None  # db.file is a table, t.url a column; functions are never qualified
    elif name in _FILE_FUNCTIONS:
        reason = f"{name} is not allowed; qualify a column of that name (t.{name})"
    elif called and name in functions:
        reason = f"function {name} is not allowed"
    elif name == "engine":
        named = later.name if after.text == b"=" else after.name
        reason = f"engine {named} is not allowed" if named in engines else None
    elif name == "source" and called and later.kind == "word":
        reason = (
            None if later.name in _DICTIONARY_SOURCES else f"source {later.name} is not allowed"
        )
    return reason
