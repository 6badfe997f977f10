"""
Run statements in the one engine of this process; every request gets a handle of its own.

A fresh handle costs 0.3 ms and isolates settings, `USE` and temporary tables; `session_id` keeps
one alive between requests, and then what a request set for itself is taken back after it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb

from customeros.runtime.errors import Misconfigured
from customeros.runtime.stack.clickhouse import protocol, statements
from customeros.runtime.stack.clickhouse.protocol import EngineError, Request

# Durable inserts cost 4 ms more per block of 1,000 rows. The caches and pools are a laptop's.
_CONFIG = """<clickhouse>
  <merge_tree>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
  </merge_tree>
  <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
  <mark_cache_size>134217728</mark_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
</clickhouse>
"""


# SHOW, DESCRIBE and their like have few rows, and the engine does not stream them.
_STREAMED = frozenset({"select", "with", "from"})


@dataclass(frozen=True)
class Answer:
    """What came back; `chunks` must be exhausted or closed, it may hold the session until then."""

    format: str | None
    summary: Mapping[str, str]
    chunks: Iterator[bytes]


@dataclass
class _Session:
    handle: Any
    seconds: float
    used_at: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    # What its own SET and USE statements changed; only then is it asked before it is changed.
    changed: bool = False


class Engine:
    """One engine on one folder; every method may be called from any thread."""

    def __init__(self, folder: Path, *, memory_mb: int) -> None:
        """
        Open the folder, or make it.

        Args:
            memory_mb: a statement that would take the process beyond it is refused.

        Raises:
            Misconfigured: another process has it, or it cannot be used.
        """
        folder = folder.absolute()
        if {"?", "&"} & set(str(folder)):
            raise Misconfigured(
                f"The embedded ClickHouse cannot keep its data in {folder}: no ? or &"
            )
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.xml"
        config.write_text(_CONFIG.format(memory_bytes=memory_mb << 20))
        self._place = f"{folder / 'data'}?config-file={config}"
        self._sessions: dict[tuple[str, str], _Session] = {}
        self._sessions_lock = threading.Lock()
        try:
            self._handle = chdb.connect(self._place)
        except RuntimeError as error:
            raise Misconfigured(_why_not_opened(folder, str(error))) from error
        self._make_default_private(folder / "data")
        self.timezone = self._one("SELECT timezone()")
        self.version = self._one("SELECT version()")
        self._functions = self._names("table_functions") - statements.HARMLESS_FUNCTIONS
        self._engines = (
            self._names("table_engines") | self._names("database_engines")
        ) - statements.HARMLESS_ENGINES

    def refuse(self, sql: bytes) -> None:
        """
        Let only statements pass that stay inside the engine.

        Raises:
            EngineError: ACCESS_DENIED, with the reason.
        """
        reason = statements.refusal(sql, functions=self._functions, engines=self._engines)
        if reason:
            raise protocol.error(protocol.ACCESS_DENIED, reason, "ACCESS_DENIED")

    def ask(
        self, sql: bytes, request: Request, *, user: str = "", read_only: bool = False
    ) -> Answer:
        """
        Run a statement that has passed `refuse`; blocks until its first rows are there.

        Args:
            user: whose sessions these are.
            read_only: change nothing, settings included; there are no sessions then.

        Raises:
            EngineError: the engine's own, or the session is in use.
        """
        if request.session is None or read_only:
            handle = chdb.connect(self._place)
            return self._run(handle, sql, request, release=handle.close, read_only=read_only)
        session = self._acquire((user, request.session), request.session_seconds)
        undo = _undo(session, request)
        if statements.verb_of(sql) in {"set", "use"}:
            session.changed = True

        def release() -> None:
            for statement in undo:
                with suppress(RuntimeError):  # a database that the request itself dropped
                    session.handle.query(statement)
            session.used_at = time.monotonic()
            session.lock.release()

        return self._run(session.handle, sql, request, release=release)

    def close(self) -> None:
        """Close every handle; call it from no signal handler, it would hang during a query."""
        for session in self._sessions.values():
            session.handle.close()
        self._handle.close()

    def _run(
        self,
        handle: Any,
        sql: bytes,
        request: Request,
        *,
        release: Callable[[], None],
        read_only: bool = False,
    ) -> Answer:
        try:
            _prepare(handle, request, read_only=read_only)
            kind = statements.kind_of(sql)
            named = None
            if kind == "read":
                sql, named = statements.split_output_format(sql)
            shape = named or request.format
            streamed = statements.verb_of(sql) in _STREAMED and not request.whole
            if kind == "read" and shape in protocol.STREAMABLE and streamed:
                stream = handle.send_query(sql, shape, params=dict(request.parameters))
                return Answer(shape, {}, _stream(stream, release))
            started = time.perf_counter_ns()
            result = handle.query(sql, shape, params=dict(request.parameters))
            took = time.perf_counter_ns() - started
        except RuntimeError as error:
            release()
            raise protocol.error_of(str(error)) from error
        except BaseException:
            release()
            raise
        release()
        body = bytes(result.bytes())
        return Answer(
            shape if kind == "read" else None,
            {
                "read_rows": str(result.storage_rows_read()),
                "read_bytes": str(result.storage_bytes_read()),
                "written_rows": str(result.rows_written()),
                "written_bytes": str(result.bytes_written()),
                "result_rows": str(result.rows_read() if kind == "read" else 0),
                "result_bytes": str(len(body)),
                "elapsed_ns": str(took),
            },
            iter([body] if body else []),
        )

    def _acquire(self, key: tuple[str, str], seconds: float) -> _Session:
        now = time.monotonic()
        with self._sessions_lock:
            for old, session in list(self._sessions.items()):
                if now - session.used_at > session.seconds and not session.lock.locked():
                    self._sessions.pop(old).handle.close()
            if key not in self._sessions:
                self._sessions[key] = _Session(chdb.connect(self._place), seconds, now)
            session = self._sessions[key]
            if not session.lock.acquire(blocking=False):
                raise protocol.error(
                    protocol.SESSION_IS_LOCKED,
                    f"Session {key[1]} is locked by a concurrent client",
                    "SESSION_IS_LOCKED",
                )
        session.seconds = seconds
        return session

    def _make_default_private(self, data: Path) -> None:
        """The engine's own `default` shows every file of the machine as a table: not this one."""
        metadata = data / "metadata"
        self._handle.query("DETACH DATABASE default")
        if (metadata / "default").exists():
            self._handle.query("ATTACH DATABASE default")
        else:  # never had a table: the engine did not load it, and could not attach it either
            (metadata / "default.sql").unlink(missing_ok=True)
            self._handle.query("CREATE DATABASE default ENGINE = Atomic")

    def _one(self, sql: str) -> str:
        return str(self._handle.query(sql, "TSVRaw").bytes().decode().rstrip("\n"))

    def _names(self, table: str) -> frozenset[str]:
        return frozenset(self._one(f"SELECT lower(name) FROM system.{table}").split())  # noqa: S608


def _prepare(handle: Any, request: Request, *, read_only: bool) -> None:
    if request.database:
        handle.query(f"USE {protocol.identifier(request.database)}")
    if request.settings:
        handle.query(
            "SET "
            + ", ".join(f"{name} = {protocol.literal(v)}" for name, v in request.settings.items())
        )
    if read_only:
        handle.query("SET readonly = 1")


def _undo(session: _Session, request: Request) -> list[str]:
    """What takes back what `_prepare` is about to do."""
    back = {name: "DEFAULT" for name in request.settings}
    database = "default"
    if session.changed:
        names = ", ".join(map(protocol.literal, request.settings)) or "''"
        rows = session.handle.query(
            "SELECT name, value FROM system.settings"  # noqa: S608 - literals are quoted
            f" WHERE changed AND name IN ({names}) FORMAT JSONCompactStringsEachRow"
        )
        back |= {name: protocol.literal(value) for name, value in _rows(rows)}
        ((database,),) = _rows(
            session.handle.query("SELECT currentDatabase() FORMAT JSONCompactStringsEachRow")
        )
    undo = [f"SET {name} = {value}" for name, value in back.items()]
    if request.database:
        undo.append(f"USE {protocol.identifier(database)}")
    return undo


def _rows(result: Any) -> list[list[str]]:
    import json

    return [json.loads(line) for line in result.bytes().splitlines()]


def _stream(stream: Any, release: Callable[[], None]) -> Iterator[bytes]:
    try:
        for chunk in stream:
            yield bytes(chunk.bytes())
    except RuntimeError as error:
        raise protocol.error_of(str(error)) from error
    finally:
        stream.close()
        release()


def _why_not_opened(folder: Path, said: str) -> str:
    if "Error initializing EmbeddedServer" in said:
        return (
            f"Another process has the embedded ClickHouse's data in {folder}; stop it"
            " (`customeros status` shows it), or set CUSTOMEROS_HOME to another folder."
        )
    return f"The embedded ClickHouse cannot open {folder}: {said}"


__all__ = ["Answer", "Engine", "EngineError"]
