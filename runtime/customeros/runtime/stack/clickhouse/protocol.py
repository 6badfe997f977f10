"""How does a ClickHouse HTTP request ask, and how is it answered? (docs: interfaces/http)"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Parameters of the protocol itself; every other one is a setting.
_NOT_SETTINGS = _words(
    "query database default_format session_id session_timeout session_check query_id quota_key"
    " compress decompress wait_end_of_query client_protocol_version role buffer_size user password"
    " send_progress_in_http_headers http_headers_progress_interval_ms enable_http_compression"
    " http_zlib_compression_level http_response_buffer_size add_http_cors_header"
    " cancel_http_readonly_queries_on_client_close http_write_exception_in_output_format"
    " http_native_compression_disable_checksumming_on_decompress"
)
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CODE = re.compile(r"Code: (\d+)\.")
_MIME = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "CSVWithNames": "text/csv; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
}
# Formats whose chunks are the whole's parts: no header, no footer.
STREAMABLE = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})

UNKNOWN_SETTING = 115
NOT_IMPLEMENTED = 48
SESSION_IS_LOCKED = 373
ACCESS_DENIED = 497
AUTHENTICATION_FAILED = 516
READONLY = 164
UNKNOWN = 1002
_STATUS = {
    AUTHENTICATION_FAILED: 403,
    ACCESS_DENIED: 403,
    READONLY: 403,
    NOT_IMPLEMENTED: 501,
    60: 404,  # UNKNOWN_TABLE
    81: 404,  # UNKNOWN_DATABASE
    47: 404,  # UNKNOWN_IDENTIFIER
    62: 400,  # SYNTAX_ERROR
    UNKNOWN_SETTING: 400,
}

# Seconds that a session lives unused, unless it says otherwise; ClickHouse's default and maximum.
_SESSION_SECONDS = 60.0
_MAX_SESSION_SECONDS = 3600.0


class EngineError(Exception):
    """An error of the engine, with ClickHouse's code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status that ClickHouse answers with."""
        return _STATUS.get(self.code, 500)


@dataclass(frozen=True)
class User:
    """Who may ask; a read-only one may read and change no setting of the engine's."""

    name: str
    password: str
    read_only: bool = False


@dataclass(frozen=True)
class Request:
    """What was asked for, apart from the statement; times in seconds."""

    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    database: str | None = None
    format: str = "TabSeparated"
    session: str | None = None
    session_seconds: float = _SESSION_SECONDS
    whole: bool = False
    read_only: bool = False


def error_of(text: str) -> EngineError:
    """The error in what the engine says, without what its binding puts before."""
    found = _CODE.search(text)
    if found is None:
        return error(UNKNOWN, text, "UNKNOWN_EXCEPTION")
    return EngineError(int(found[1]), text[found.start() :])


def error(code: int, sentence: str, name: str) -> EngineError:
    """An error of our own, in the engine's words: `Code: 497. DB::Exception: … (ACCESS_DENIED)`."""
    return EngineError(code, f"Code: {code}. DB::Exception: {sentence}. ({name})")


def authentication_failed(name: str) -> EngineError:
    """What ClickHouse says to a wrong name and to a wrong password alike."""
    return error(
        AUTHENTICATION_FAILED,
        f"{name}: Authentication failed: password is incorrect, or there is no user with such name",
        "AUTHENTICATION_FAILED",
    )


def read_request(query: Mapping[str, str], headers: Mapping[str, str], *, get: bool) -> Request:
    """
    The request in the URL's (or form's) parameters; a GET only reads.

    Raises:
        EngineError: a setting's name cannot be one, or something is asked for that is not there.
    """
    settings = {
        name: value
        for name, value in query.items()
        if name not in _NOT_SETTINGS and not name.startswith("param_")
    }
    for name in settings:
        if not _SETTING.match(name):
            raise error(UNKNOWN_SETTING, f"Unknown setting '{name}'", "UNKNOWN_SETTING")
    if "1" in (query.get("compress"), query.get("decompress")):
        raise error(
            NOT_IMPLEMENTED,
            "The embedded engine does not speak ClickHouse's own block compression"
            " (compress=1, decompress=1); use Content-Encoding",
            "NOT_IMPLEMENTED",
        )
    if query.get("role"):
        raise error(NOT_IMPLEMENTED, "The embedded engine has no roles", "NOT_IMPLEMENTED")
    return Request(
        settings=settings,
        parameters={
            name.removeprefix("param_"): value
            for name, value in query.items()
            if name.startswith("param_")
        },
        database=query.get("database") or headers.get("X-ClickHouse-Database") or None,
        format=query.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        session=query.get("session_id") or None,
        session_seconds=_session_seconds(query.get("session_timeout")),
        whole=query.get("wait_end_of_query") == "1",
        read_only=get,
    )


def credentials(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    """
    The user's name and password, from whichever of the three places has them.

    Raises:
        EngineError: AUTHENTICATION_FAILED, they are not readable.
    """
    name, password = headers.get("X-ClickHouse-User"), headers.get("X-ClickHouse-Key", "")
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if name is None and scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError as problem:
            raise authentication_failed("") from problem
    if name is None:
        name, password = query.get("user"), query.get("password", "")
    return name or "default", password


def mime_of(format_name: str | None) -> str:
    """The Content-Type of an answer in this format."""
    return _MIME.get(format_name or "", "text/plain; charset=UTF-8")


def late_error(tag: str, text: str) -> bytes:
    """An error after the first byte of an answer, framed so that clients recognise it."""
    message = text.encode()
    return b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n" % (
        tag.encode(),
        message,
        len(message) + 1,
        tag.encode(),
    )


def literal(value: str) -> str:
    """A string literal of ClickHouse's SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """A quoted identifier of ClickHouse's SQL."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _session_seconds(text: str | None) -> float:
    try:
        return min(float(text or _SESSION_SECONDS), _MAX_SESSION_SECONDS)
    except ValueError:
        return _SESSION_SECONDS
