"""
A processor whose every mistake shows: it numbers each key's records and adds up their values.

As a program it is a worker: `python -m support.counting`, settings from the environment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from customeros.runtime.errors import PoisonRecord
from customeros.runtime.logs import configure_logs
from customeros.runtime.settings import read_settings
from customeros.runtime.stream import Batch, Output, State, struct_table, transactor
from customeros.schemas.event import Family
from customeros.schemas.topics import CONTRIBUTIONS, EVENTS

STAGE: Final = "counting"
LEFT: Final = EVENTS[Family.BEHAVIORAL]
RIGHT: Final = EVENTS[Family.SOCIAL]
COUNTED: Final = CONTRIBUTIONS


class Count(msgspec.Struct, frozen=True):
    """How many records a key had, and their sum."""

    number: int
    total: int


COUNTS: Final = struct_table("count", Count)


class Counting:
    """
    Decimal numbers from two topics; one `Count` out per record, in order. A tombstone starts anew.

    Args:
        seconds_per_record: how long it dawdles, so that a test can interfere.
        hangs_once: a file; as long as it is there, the next batch takes it away and never ends.
    """

    stage = STAGE

    def __init__(self, *, seconds_per_record: float = 0.0, hangs_once: Path | None = None) -> None:
        self.sources = {LEFT: decode_number, RIGHT: decode_number}
        self._seconds_per_record = seconds_per_record
        self._hangs_once = hangs_once

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        for batch in batches:
            yield from self._counted(state, batch)

    def _counted(self, state: State, batch: Batch) -> Iterable[Output]:
        if self._hangs_once and self._hangs_once.exists():
            self._hangs_once.unlink()
            threading.Event().wait()
        if self._seconds_per_record:
            time.sleep(self._seconds_per_record * len(batch.records))
        counts = state.get_many(COUNTS, {record.key or b"" for record in batch.records})
        for record in batch.records:
            key = record.key or b""
            if record.value is None:
                counts.pop(key, None)
                state.delete(COUNTS, key)
                yield Output(COUNTED, key, None)
                continue
            before = counts.get(key, Count(0, 0))
            counts[key] = Count(before.number + 1, before.total + record.value)
            state.put(COUNTS, key, counts[key])
            yield Output(COUNTED, key, COUNTS.encode(counts[key]))


def decode_number(data: bytes) -> int:
    """
    The number in *data*.

    Raises:
        PoisonRecord: it is none.
    """
    try:
        return int(data)
    except ValueError:
        raise PoisonRecord("no_number", "not a decimal number") from None


def lose_transactions(home: Path) -> None:
    """
    Nobody can tell what became of a transaction, if *home* holds `lost-void` or `lost-committed`.

    All of it is written when that happens, and still open or committed. What is in the file says
    how often: `once` or `always`.
    """
    ask_for_it = transactor._until_answered

    def ask_or_lose(ask: Callable[[float], object]) -> None:
        for fate in ("void", "committed") if ask.__name__ == "commit_transaction" else ():
            asked = home / f"lost-{fate}"
            if asked.exists():
                if asked.read_text() == "once":
                    asked.unlink()
                if fate == "committed":
                    ask_for_it(ask)
                raise transactor.Lost("nobody can tell")
        ask_for_it(ask)

    transactor._until_answered = ask_or_lose


def hide_broker(home: Path) -> None:
    """To Faust's clients, as they begin, no broker is there as long as *home* holds `hidden`."""
    begin = AIOKafkaClient.bootstrap

    async def begin_if_there(client: AIOKafkaClient) -> None:
        if (home / "hidden").exists():
            raise KafkaConnectionError("hidden")
        await begin(client)

    AIOKafkaClient.bootstrap = begin_if_there


def main() -> None:
    """Run the worker."""
    from customeros.runtime.stream.worker import run_worker

    settings = read_settings()
    lose_transactions(settings.home)
    hide_broker(settings.home)
    configure_logs(settings.logs, process=STAGE)
    pace = float(os.environ.get("SECONDS_PER_RECORD", "0"))
    hangs = settings.home / "hangs"
    run_worker(Counting(seconds_per_record=pace, hangs_once=hangs), settings)


if __name__ == "__main__":
    main()
