"""The job on Bytewax: `python -m benchmarks.engine.bytewax_job`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.engine.job import Click, Sums, add, read_click, write_sums
from benchmarks.engine.worker import Told, say_progress, told

_STEP = "sums"


class Summing(StatefulBatchLogic):  # type: ignore[misc]  # of another environment
    """The sums of one key."""

    def __init__(self, before: Sums | None) -> None:
        self._sums = before or Sums()

    def on_batch(self, clicks: list[Click]) -> tuple[Iterable[Sums], bool]:
        said = []
        for click in clicks:
            self._sums = add(self._sums, click)
            said.append(self._sums)
        return said, StatefulBatchLogic.RETAIN

    def snapshot(self) -> Sums:
        return self._sums


def build(job: Told) -> Dataflow:
    """Its own Kafka connectors and its batched operators, the fastest that it has."""
    records = 0

    def keyed(messages: list[KafkaSourceMessage]) -> Iterable[tuple[str, Click]]:
        return [(message.key.decode(), read_click(message.value)) for message in messages]

    def written(all_sums: list[tuple[str, Sums]]) -> Iterable[KafkaSinkMessage]:
        nonlocal records
        records += len(all_sums)
        return [KafkaSinkMessage(key.encode(), write_sums(sums)) for key, sums in all_sums]

    flow = Dataflow(_STEP)
    read = op.input("read", flow, KafkaSource([job.bootstrap], [job.source]))
    summed = op.stateful_batch(_STEP, op.flat_map_batch("keyed", read, keyed), Summing)
    said = op.flat_map_batch("written", summed, written)
    op.output("said", said, KafkaSink([job.bootstrap], job.output))
    say_progress(job.port, lambda: records)
    return flow


def main() -> None:
    """Run the worker; its recovery store has one part, as there is one worker."""
    job = told()
    if not job.folder.exists():
        job.folder.mkdir(parents=True)
        init_db_dir(job.folder, 1)
    cli_main(
        build(job),
        epoch_interval=timedelta(seconds=job.commit_seconds),
        recovery_config=RecoveryConfig(job.folder),
    )


if __name__ == "__main__":
    main()
