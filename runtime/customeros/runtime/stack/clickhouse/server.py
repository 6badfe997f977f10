"""Serve the engine over ClickHouse's HTTP protocol, on the loopback interface alone."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import signal
import tempfile
import threading
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import lz4.frame
import structlog
from aiohttp import web

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import LOOPBACK, Settings
from customeros.runtime.stack.clickhouse import protocol, statements
from customeros.runtime.stack.clickhouse.engine import Engine
from customeros.runtime.stack.clickhouse.protocol import EngineError, Request, User
from customeros.runtime.stack.ports import listen

_T = TypeVar("_T")

# Statements that run at once; each uses up to all cores.
_WORKERS = 8
# Of a statement without its data, bytes; ClickHouse's own max_query_size is 256 kB.
_MAX_STATEMENT = 16 << 20
# How long running statements get to end after SIGTERM, s.
_STOP_SECONDS = 5.0

log = structlog.get_logger()


def users_of(settings: Settings) -> dict[str, User]:
    """The owner, who may do everything inside the engine, and the reader, if it has a password."""
    owner = User(settings.clickhouse.user, settings.clickhouse.password.get_secret_value())
    reader = User("reader", settings.clickhouse.reader_password.get_secret_value(), read_only=True)
    return {user.name: user for user in (reader, owner) if user is owner or user.password}


def run_clickhouse(settings: Settings) -> int:
    """
    Serve until SIGTERM or SIGINT.

    Raises:
        Misconfigured: the port is taken, or another process has the data.
    """
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder, port = settings.home / "clickhouse", settings.clickhouse.port
    engine = Engine(folder, memory_mb=settings.clickhouse.memory_mb)
    server = Server(engine, users_of(settings), spool=folder / "spool")
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    try:
        listening = listen(LOOPBACK, port, "CUSTOMEROS_CLICKHOUSE__PORT")
    except Misconfigured:
        engine.close()
        raise
    await web.SockSite(runner, listening).start()
    log.info("clickhouse_listening", port=port, version=engine.version)
    await stop.wait()
    await runner.cleanup()
    if server.running:  # closing would wait for them; what they have not written is not promised
        log.warning("clickhouse_stopped", abandoned=server.running)
        os._exit(0)
    engine.close()
    log.info("clickhouse_stopped", abandoned=0)
    return 0


class Server:
    """The HTTP shell around one engine; `running` calls are inside it at this moment."""

    def __init__(self, engine: Engine, users: dict[str, User], *, spool: Path) -> None:
        self._engine, self._users, self._spool = engine, users, spool
        self._pool = ThreadPoolExecutor(_WORKERS, "clickhouse")
        self._counting = threading.Lock()
        self.running = 0
        spool.mkdir(parents=True, exist_ok=True)
        for left in spool.iterdir():  # by a process that was killed
            left.unlink()

    def application(self) -> web.Application:
        """The routes of ClickHouse's HTTP interface."""
        application = web.Application(client_max_size=_MAX_STATEMENT)
        application.router.add_get("/ping", _ok)
        application.router.add_get("/replicas_status", _ok)
        application.router.add_get("/", self._handle)
        application.router.add_post("/", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except EngineError as error:
            return web.Response(
                status=error.status,
                text=error.text + "\n",
                headers={"X-ClickHouse-Exception-Code": str(error.code)},
            )

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        user = self._authenticate(http)
        query = dict(http.query)
        if http.content_type == "multipart/form-data":
            query |= await _form(http)
            body = _nothing()
        else:
            body = _body(http)
        wanted = protocol.read_request(query, http.headers, get=http.method == "GET")
        head = query.get("query", "").encode()
        with tempfile.NamedTemporaryFile(dir=self._spool, prefix="insert-") as file:
            async with aclosing(body):
                sql, insert = await _receive(head, body, file.write)
            if not sql.strip():
                return await _ok(http)
            self._engine.refuse(sql)
            if insert is not None:
                file.flush()
                sql = insert.from_file(file.name)
            return await self._respond(http, sql, wanted, user, query.get("query_id"))

    async def _respond(
        self, http: web.Request, sql: bytes, wanted: Request, user: User, query_id: str | None
    ) -> web.StreamResponse:
        read_only = user.read_only or (wanted.read_only and wanted.session is None)
        tag = secrets.token_hex(8)
        answer = await self._in_pool(
            lambda: self._engine.ask(sql, wanted, user=user.name, read_only=read_only)
        )
        response = web.StreamResponse(
            headers={
                "Content-Type": protocol.mime_of(answer.format),
                "X-ClickHouse-Query-Id": query_id or str(uuid.uuid4()),
                "X-ClickHouse-Timezone": self._engine.timezone,
                "X-ClickHouse-Server-Display-Name": "customeros",
                "X-ClickHouse-Exception-Tag": tag,
                "X-ClickHouse-Summary": json.dumps(dict(answer.summary)),
                **({"X-ClickHouse-Format": answer.format} if answer.format else {}),
            }
        )
        chunks = answer.chunks
        try:
            # The first chunk before the first byte: most errors still get their status.
            chunk = await self._in_pool(lambda: next(chunks, None))
            await response.prepare(http)
            while chunk is not None:
                await response.write(chunk)
                chunk = await self._in_pool(lambda: next(chunks, None))
        except EngineError as error:
            if not response.prepared:
                raise
            await response.write(protocol.late_error(tag, error.text))
        finally:
            if close := getattr(chunks, "close", None):
                await asyncio.shield(self._in_pool(close))
        await response.write_eof()
        return response

    async def _in_pool(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._counted, call)

    def _counted(self, call: Callable[[], _T]) -> _T:
        with self._counting:
            self.running += 1
        try:
            return call()
        finally:
            with self._counting:
                self.running -= 1

    def _authenticate(self, http: web.Request) -> User:
        name, password = protocol.credentials(http.query, http.headers)
        user = self._users.get(name)
        if user is None or not hmac.compare_digest(user.password.encode(), password.encode()):
            raise protocol.authentication_failed(name)
        return user


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _nothing() -> AsyncGenerator[bytes]:
    return
    yield


async def _form(http: web.Request) -> dict[str, str]:
    """Parameters that were too long for a URL."""
    form = await http.post()
    values = {name: value for name, value in form.items() if isinstance(value, str)}
    if len(values) < len(form):
        raise protocol.error(
            protocol.NOT_IMPLEMENTED,
            "The embedded engine takes no external data; use a temporary table",
            "NOT_IMPLEMENTED",
        )
    return values


async def _body(http: web.Request) -> AsyncGenerator[bytes]:
    """The body in pieces, decompressed (aiohttp itself undoes gzip, deflate, br and zstd)."""
    lz4_decoder = None
    if http.headers.get("Content-Encoding") == "lz4":
        lz4_decoder = lz4.frame.LZ4FrameDecompressor()
    async for piece in http.content.iter_any():
        if lz4_decoder is None:
            yield piece
            continue
        left = piece
        while left:
            yield lz4_decoder.decompress(left)
            left = lz4_decoder.unused_data or b""
            if lz4_decoder.eof:  # clients send one frame per block
                lz4_decoder = lz4.frame.LZ4FrameDecompressor()


async def _receive(
    head: bytes, body: AsyncIterator[bytes], spool: Callable[[bytes], object]
) -> tuple[bytes, statements.InsertHead | None]:
    """The statement, and if data follow it, its head: then the data have gone to `spool`."""
    gathered = bytearray(head + b"\n" if head else b"")
    insert: statements.InsertHead | None = None
    async for piece in body:
        if insert is not None:
            spool(piece)
            continue
        within_head = len(gathered) < statements.HEAD_BYTES
        gathered += piece
        if len(gathered) > _MAX_STATEMENT:
            raise protocol.error(62, f"Max query size of {_MAX_STATEMENT} exceeded", "SYNTAX_ERROR")
        insert = statements.insert_head(bytes(gathered)) if within_head else None
        if insert is not None:
            spool(bytes(gathered[insert.data_at :]))
            del gathered[insert.data_at :]
    return bytes(gathered), insert
