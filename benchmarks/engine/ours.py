"""The job on our runtime: `python -m benchmarks.engine.ours event|batch`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.engine.job import Sums, add, read_click
from customeros.runtime.logs import configure_logs
from customeros.runtime.settings import read_settings
from customeros.runtime.stream import Batch, Output, State, struct_table
from customeros.runtime.stream.worker import run_worker
from customeros.schemas.event import Family
from customeros.schemas.topics import CONTRIBUTIONS, EVENTS

SOURCE: Final = EVENTS[Family.BEHAVIORAL]
OUTPUT: Final = CONTRIBUTIONS
_SUMS: Final = struct_table("sums", Sums)


class Summing:
    """
    Sums by key.

    Args:
        stage: its name.
        each: one output for every event; else one for every key of a batch.
    """

    def __init__(self, stage: str, *, each: bool) -> None:
        self.stage = stage
        self.sources = {SOURCE: read_click}
        self._each = each

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        (batch,) = batches  # it has one source
        sums = state.get_many(_SUMS, {record.key or b"" for record in batch.records})
        touched: set[bytes] = set()
        for record in batch.records:
            key = record.key or b""
            sums[key] = add(sums.get(key, Sums()), record.value)
            touched.add(key)
            if self._each:
                yield _output(key, sums[key])
        for key in touched:
            state.put(_SUMS, key, sums[key])
            if not self._each:
                yield _output(key, sums[key])


def stage_of(each: str) -> str:
    """The name of the worker that is started with *each*."""
    return f"engine-{each}"


def _output(key: bytes, value: Sums) -> Output:
    return Output(OUTPUT, key, _SUMS.encode(value))


def main(each: str) -> None:
    """Run the worker."""
    settings = read_settings()
    stage = stage_of(each)
    configure_logs(settings.logs, process=stage)
    run_worker(Summing(stage, each=each == "event"), settings)


if __name__ == "__main__":
    main(sys.argv[1])
