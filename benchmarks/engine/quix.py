"""The job on Quix Streams: `python -m benchmarks.engine.quix at-least-once|exactly-once`."""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, State
from quixstreams.state.rocksdb import RocksDBOptions

from benchmarks.engine.job import Sums, add, read_click, read_sums, write_sums
from benchmarks.engine.worker import Told, say_progress, told


def build(job: Told, guarantee: Any) -> Application:
    """A streaming data frame with Quix's own store and changelog; bytes in and out, as it can."""
    app = Application(
        job.bootstrap,
        consumer_group=job.name,
        auto_offset_reset="earliest",
        commit_interval=job.commit_seconds,
        state_dir=job.folder,
        processing_guarantee=guarantee,
        loglevel="WARNING",
        rocksdb_options=RocksDBOptions(dumps=write_sums, loads=read_sums),
    )
    source = app.topic(job.source, value_deserializer="bytes")
    output = app.topic(job.output, value_serializer="bytes")
    records = 0

    def summed(value: bytes, state: State) -> bytes:
        nonlocal records
        after = add(state.get("sums") or Sums(), read_click(value))
        state.set("sums", after)
        records += 1
        return write_sums(after)

    app.dataframe(source).apply(summed, stateful=True).to_topic(output)
    say_progress(job.port, lambda: records)
    return app


if __name__ == "__main__":
    build(told(), sys.argv[1]).run()
