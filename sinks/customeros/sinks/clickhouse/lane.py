"""What is written together and when: one batch is written while the next one gathers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, NamedTuple

from customeros.runtime.settings import ClickHouse
from customeros.sinks.clickhouse.buffer import Buffer, Place
from customeros.sinks.clickhouse.inserts import Target
from customeros.sinks.clickhouse.record import Record
from customeros.sinks.clickhouse.tables import Table

# One customer state may have 128 kB, so rows alone do not bound a batch.
_BATCH_BYTES: Final = 16 * 1024 * 1024
# What is read is old, there is more than can be taken at once: then batches of 10,000 rows cost
# ClickHouse a fifth of what those of 0.2 s did. And no batch waits for longer than this, in times
# of `flush_seconds`.
_LONGEST_FACTOR: Final = 10


class Written(NamedTuple):
    """
    Args:
        batch: what was written; all of it is done but for what it refused.
        rows: how many were inserted, by table.
        seconds: that it took.
    """

    batch: Buffer
    rows: Mapping[Table, int]
    seconds: float


class Lane:
    """
    Records that are written together, by a thread; the methods are for the one that reads topics.

    A batch waits the longer the last one took to write, so that the rest of the machine, and those
    who ask ClickHouse, get their share.

    Args:
        wait_factor: after a batch ClickHouse is left alone for so many times what that took.
        pause_seconds: from the begin of one batch to that of the next, at least.
        clock: of seconds that only go forward.
    """

    def __init__(
        self,
        target: Target,
        settings: ClickHouse,
        *,
        wait_factor: float,
        pause_seconds: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._rows = settings.batch_rows
        self._shortest = settings.flush_seconds
        self._longest = settings.flush_seconds * _LONGEST_FACTOR
        self._wait_factor = wait_factor
        self._pause = pause_seconds
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._gathering = Buffer()
        self._oldest = math.inf
        self._batch: Buffer | None = None
        self._writing: Future[Written] | None = None
        self._not_before = -math.inf

    def add(self, record: Record) -> None:
        """See `Buffer.add`."""
        self._gathering.add(record)
        self._gathers()

    def move_to(self, place: Place, offset: int) -> None:
        """See `Buffer.move_to`."""
        self._gathering.move_to(place, offset)
        self._gathers()

    def _gathers(self) -> None:
        if self._oldest == math.inf:
            self._oldest = self._clock()

    @property
    def is_full(self) -> bool:
        """Whether nothing should be added before the next `begin`."""
        gathered = self._gathering
        return gathered.records.total() >= self._rows or gathered.bytes >= _BATCH_BYTES

    @property
    def writing(self) -> Future[Written] | None:
        """What ends with the batch that is being written; None: there is none."""
        return self._writing

    def due_at(self, *, behind: bool) -> float:
        """
        When to begin, by the clock; infinite: there is nothing, or a batch is written.

        Args:
            behind: what is read is old.
        """
        if self._writing is not None or self._oldest == math.inf:
            return math.inf
        if self.is_full:
            return self._oldest
        if behind:
            return self._oldest + self._longest
        return max(self._oldest + self._shortest, self._not_before)

    def begin(self) -> Future[Written]:
        """Let the thread write what was gathered, or what could not be written before."""
        if self._batch is None:
            self._batch, self._gathering = self._gathering, Buffer()
            self._oldest = math.inf
        self._writing = self._thread.submit(self._write, self._batch)
        return self._writing

    def finish(self) -> Written:
        """
        The batch that was begun, or is now, once it is written.

        Raises:
            Unavailable: `begin` tries it again.
        """
        writing = self._writing or self.begin()
        self._writing = None
        written = writing.result()
        self._batch = None
        now = self._clock()
        self._not_before = max(
            now + min(written.seconds * self._wait_factor, self._longest),
            now - written.seconds + self._pause,
        )
        return written

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write and nothing to commit."""
        return self._batch is None and self._oldest == math.inf

    def drop(self, places: Iterable[Place]) -> None:
        """Forget all of *places*, once the thread has let go of them; see `Buffer.drop`."""
        gone = set(places)
        if self._writing is not None:
            wait([self._writing])
        for buffer in (self._batch, self._gathering):
            if buffer is not None:
                buffer.drop(gone)

    def close(self) -> None:
        """Begin nothing more; a batch that is being written ends by itself."""
        self._thread.shutdown(wait=False)

    def _write(self, batch: Buffer) -> Written:
        began = self._clock()
        rows = batch.write(self._target)
        return Written(batch, rows, self._clock() - began)
