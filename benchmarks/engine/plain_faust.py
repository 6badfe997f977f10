"""The job as a plain Faust agent with a table: `python -m benchmarks.engine.plain_faust`."""

from __future__ import annotations

import sys
from typing import Any

import faust

from benchmarks.engine.job import Sums, add, read_click, read_sums, write_sums
from benchmarks.engine.worker import Told, say_progress, told


def build(job: Told) -> faust.App:
    """Faust's own table, changelog and delivery, with its defaults but for the fast start."""
    app = faust.App(
        job.name,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        datadir=job.folder,
        broker_commit_interval=job.commit_seconds,
        topic_partitions=job.partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
        table_standby_replicas=0,
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
    )
    raw: Any = {"partitions": job.partitions, "key_serializer": "raw", "value_serializer": "raw"}
    output = app.topic(job.output, **raw)
    table = app.Table(
        f"{job.name}-sums", partitions=job.partitions, key_type=bytes, value_type=bytes
    )
    records = 0

    async def add_all(stream: Any) -> None:
        nonlocal records
        async for event in stream.events():
            known = table.get(event.key)
            after = write_sums(add(read_sums(known) if known else Sums(), read_click(event.value)))
            table[event.key] = after
            output.send_soon(key=event.key, value=after)
            records += 1

    say_progress(job.port, lambda: records)
    app.agent(app.topic(job.source, **raw))(add_all)
    return app


def main() -> None:
    """Run the worker."""
    job = told()
    app = build(job)
    sys.argv = [job.name, "worker", "-l", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
