"""How soon does an HTTP server answer? A light client, in a process and on cores of its own."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final, NamedTuple, cast

import uvloop

# So often those that are due are looked for.
_TICK_SECONDS: Final = 0.001
# A server that cannot keep the rate is told of, too: a tenth of what it is asked is enough.
_DRAIN_SECONDS: Final = 300.0


class Questions(NamedTuple):
    """
    Args:
        path: of question n: *path* with `{number:08}` in it; n is drawn from `range(among)`.
        rate: a second, each due at its own time, and its answer counts from then; None: each
            connection asks again as soon as it has its answer.
    """

    port: int
    token: str
    paths: tuple[str, ...]
    among: int
    connections: int
    seconds: float
    rate: float | None = None
    seed: int = 1


class Answers(NamedTuple):
    """
    Args:
        took: seconds of each, ascending.
        statuses: how many had which.
        cpu_seconds: of this client.
    """

    took: list[float]
    statuses: dict[int, int]
    seconds: float
    bytes: int
    cpu_seconds: float


@contextmanager
def asking(cores: set[int]) -> Iterator[Callable[[Questions], Answers]]:
    """A process on *cores* that asks; its questions one after another."""
    context = get_context("spawn")
    with ProcessPoolExecutor(
        1, mp_context=context, initializer=os.sched_setaffinity, initargs=(0, cores)
    ) as pool:
        yield lambda questions: pool.submit(ask, questions).result()


def ask(questions: Questions) -> Answers:
    """
    Ask for as long as it is said, and return when the last is answered.

    Raises:
        TimeoutError: not all were answered in five minutes after the last.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Asking(questions).run())


class _Asking:
    def __init__(self, questions: Questions) -> None:
        self._asked = questions
        self._chance = random.Random(questions.seed)
        self._due: deque[float] = deque()
        # In turn, as a server closes what is idle for seconds.
        self._idle: deque[_Connection] = deque()
        self._over = False
        self._took: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._bytes = 0

    async def run(self) -> Answers:
        loop = asyncio.get_running_loop()
        opened = [
            await loop.create_connection(
                lambda: _Connection(self._answered), "127.0.0.1", self._asked.port
            )
            for _ in range(self._asked.connections)
        ]
        connections = [connection for _, connection in opened]
        begun, cpu = time.monotonic(), time.process_time()
        until = begun + self._asked.seconds
        if self._asked.rate is None:
            for connection in connections:
                connection.send(self._question(), time.monotonic())
            await asyncio.sleep(self._asked.seconds)
        else:
            self._idle.extend(connections)
            sent = 0
            while (now := time.monotonic()) < until:
                while begun + sent / self._asked.rate <= now:
                    self._due.append(begun + sent / self._asked.rate)
                    sent += 1
                self._send_due()
                await asyncio.sleep(_TICK_SECONDS)
        self._over = True
        async with asyncio.timeout(_DRAIN_SECONDS):
            while any(connection.busy for connection in connections) or self._due:
                await asyncio.sleep(_TICK_SECONDS)
        seconds = time.monotonic() - begun
        used = time.process_time() - cpu
        for transport, _ in opened:
            transport.abort()
        return Answers(sorted(self._took), dict(self._statuses), seconds, self._bytes, used)

    def _answered(self, connection: _Connection, status: int, size: int) -> None:
        now = time.monotonic()
        self._took.append(now - connection.due)
        self._statuses[status] += 1
        self._bytes += size
        if self._asked.rate is not None:
            self._idle.append(connection)
            self._send_due()
        elif not self._over:
            connection.send(self._question(), now)

    def _send_due(self) -> None:
        while self._due and self._idle:
            self._idle.popleft().send(self._question(), self._due.popleft())

    def _question(self) -> bytes:
        path = self._chance.choice(self._asked.paths)
        number = self._chance.randrange(self._asked.among)
        return (
            f"GET {path.format(number=number)} HTTP/1.1\r\nHost: api\r\n"
            f"Authorization: Bearer {self._asked.token}\r\n\r\n"
        ).encode()


class _Connection(asyncio.Protocol):
    """One question at a time over one connection that stays open."""

    def __init__(self, answered: Callable[[_Connection, int, int], None]) -> None:
        self.busy = False
        self.due = 0.0
        self._answered = answered
        self._data = b""
        self._end = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, question: bytes, due: float) -> None:
        assert self._transport is not None
        self.busy, self.due = True, due
        self._transport.write(question)

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data if self._data else data
        if not self._end:
            head = data.find(b"\r\n\r\n")
            if head < 0:
                return
            _, _, length = data[:head].lower().partition(b"content-length:")
            self._end = head + 4 + int(length.split(b"\r", 1)[0])
        if len(data) >= self._end:
            size = self._end
            self._data, self._end, self.busy = b"", 0, False
            self._answered(self, int(data[9:12]), size)
