"""The job as a plain Faust agent with a table: `python -m benchmarks.engine_faust`."""

from __future__ import annotations

import sys
from typing import Any

import faust
from prometheus_client import Gauge, start_http_server

from benchmarks.engine_job import OUTPUT, SOURCE, Sums, add, read_click, read_sums, write_sums
from customeros.runtime.settings import Settings, read_settings
from customeros.runtime.topics import prefixed

STAGE = "engine-faust"


def build(settings: Settings) -> faust.App:
    """Faust's own table, changelog and delivery, with its defaults but for the fast start."""
    partitions = settings.kafka.partitions
    name = settings.prefix + STAGE
    app = faust.App(
        name,
        broker=f"kafka://{settings.bootstrap}",
        store="memory://",
        datadir=settings.home / "faust",
        topic_partitions=partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
        table_standby_replicas=0,
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
    )
    raw: Any = {"partitions": partitions, "key_serializer": "raw", "value_serializer": "raw"}
    output = app.topic(prefixed(settings, OUTPUT), **raw)
    table = app.Table(f"{name}-sums", partitions=partitions, key_type=bytes, value_type=bytes)
    records = 0

    async def add_all(stream: Any) -> None:
        nonlocal records
        async for event in stream.events():
            known = table.get(event.key)
            after = write_sums(add(read_sums(known) if known else Sums(), read_click(event.value)))
            table[event.key] = after
            output.send_soon(key=event.key, value=after)
            records += 1

    # Read when it is asked for: a metric counted up at each event would be part of the cost.
    Gauge("customeros_records_read_total", "records taken").set_function(lambda: records)
    app.agent(app.topic(prefixed(settings, SOURCE), **raw))(add_all)
    return app


def main() -> None:
    """Run the worker."""
    settings = read_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    app = build(settings)
    start_http_server(settings.metrics.port, addr=settings.metrics.host)
    sys.argv = [STAGE, "worker", "-l", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
