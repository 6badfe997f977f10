"""Send at a fixed rate, whatever becomes of it: clients in the world do not wait for each other."""

from __future__ import annotations

import asyncio
import base64
import time
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from benchmarks.traffic import traffic

BATCH: Final = 100
# Traffic made beforehand; each time it has all been sent, the same happens to other people.
_POOL_BATCHES: Final = 300
_NAME_DIGITS: Final = 5
_CONNECTIONS: Final = 400
# As SDKs wait.
_ANSWER_SECONDS: Final = 10.0
# Of an outcome, where there was no HTTP status.
NO_ANSWER: Final = 0
NO_CONNECTION: Final = -1


class Outcome(NamedTuple):
    """
    What became of one batch.

    Args:
        status: HTTP, or `NO_ANSWER` (not within 10 s, or the connection broke: nobody knows), or
            `NO_CONNECTION` (all were busy, so that it was not sent).
        at: s after the first was due, when it was sent.
        seconds: until the answer.
    """

    status: int
    at: float
    seconds: float


class Bodies:
    """Batches without end, no event twice; `number_of` finds an event's batch by its id."""

    def __init__(self, seed: int) -> None:
        calls = map(msgspec.json.encode, traffic(seed, name=_name(0)))
        self._pool = [b",".join(islice(calls, BATCH)) for _ in range(_POOL_BATCHES)]

    def __getitem__(self, number: int) -> bytes:
        cycle, index = divmod(number, _POOL_BATCHES)
        calls = self._pool[index].replace(f"{_name(0)}-".encode(), f"{_name(cycle)}-".encode())
        return b'{"batch":[' + calls + b"]}"


def number_sql(event_id: str) -> str:
    """ClickHouse's expression for the number of the batch of column *event_id*."""
    start = _NAME_DIGITS + 3
    return (
        f"toUInt32(substring({event_id}, 2, {_NAME_DIGITS})) * {_POOL_BATCHES}"
        f" + intDiv(toUInt32(substring({event_id}, {start})), {BATCH})"
    )


def offer(
    port: int, write_key: str, bodies: Bodies, *, batches_per_second: float, seconds: float
) -> list[Outcome]:
    """What became of each batch, by number; returns when the last is answered or given up."""
    count = round(batches_per_second * seconds)
    offering = _Offering(port, write_key, bodies)
    return asyncio.run(offering.run(count, batches_per_second))


class _Offering:
    def __init__(self, port: int, write_key: str, bodies: Bodies) -> None:
        self._port = port
        self._bodies = bodies
        user = base64.b64encode(f"{write_key}:".encode()).decode()
        self._head = (
            f"POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {user}\r\n"
            "Content-Length: "
        ).encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._busy = 0
        self._began = 0.0

    async def run(self, count: int, rate: float) -> list[Outcome]:
        self._began = time.monotonic()
        sending: list[asyncio.Task[Outcome]] = []
        for number in range(count):
            late = time.monotonic() - self._began - number / rate
            # Without a pause now and then no answer would ever be read.
            await asyncio.sleep(max(0.0, -late))
            sending.append(asyncio.create_task(self._send(number)))
        outcomes = await asyncio.gather(*sending)
        for _, writer in self._idle:
            writer.close()
        return outcomes

    async def _send(self, number: int) -> Outcome:
        at = time.monotonic()
        status = await self._status(number)
        return Outcome(status, at - self._began, time.monotonic() - at)

    async def _status(self, number: int) -> int:
        if self._busy >= _CONNECTIONS:
            return NO_CONNECTION
        self._busy += 1
        connection = self._idle.pop() if self._idle else None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                connection = connection or await asyncio.open_connection("127.0.0.1", self._port)
                status, stays = await self._post(*connection, self._bodies[number])
        except (OSError, EOFError, TimeoutError):
            status, stays = NO_ANSWER, False
        finally:
            self._busy -= 1
        if connection and stays:
            self._idle.append(connection)
        elif connection:
            connection[1].close()
        return status

    async def _post(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> tuple[int, bool]:
        """The status, and whether the connection stays."""
        writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        return int(head.split(maxsplit=2)[1]), b"connection: close" not in head


def _name(cycle: int) -> str:
    return f"c{cycle:0{_NAME_DIGITS}}"
