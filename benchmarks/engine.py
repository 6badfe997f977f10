"""How does our runtime compare with a plain Faust agent? The same job, on the same Kafka."""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.engine_job import SOURCE, clicks
from benchmarks.machine import ROOT
from benchmarks.progress import watch
from benchmarks.report import Row, Section
from benchmarks.rig import Servers, installation, running
from customeros.runtime.clients import producer
from customeros.runtime.settings import LOOPBACK, Settings
from customeros.runtime.stack.ports import free_port
from customeros.runtime.stack.processes import Spec, environment
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import changelog

# A plain agent is so much slower that the same number would only take longer.
_FAUST_SHARE: Final = 10
_PRODUCED_AT_ONCE: Final = 10_000


def measure_engine(servers: Servers, *, events: int, run: int) -> Section:
    """Ours with an output for every event, ours with one for every key of a batch, plain Faust."""
    settings = installation(servers, f"engine-{run}")
    ensure_topics(settings, (changelog("engine-event"), changelog("engine-batch")))
    _produce(settings, events)
    few = events // _FAUST_SHARE
    rows = [
        *_measure("ours, output per event", servers, settings, ("ours", "event"), events),
        *_measure("ours, output per key and batch", servers, settings, ("ours", "batch"), events),
        *_measure("plain Faust, output per event", servers, settings, ("faust",), few),
    ]
    plain = float(rows[-2]["CPU µs/event"])
    return Section(
        "Engine",
        "Count and sum by key over 10,000 keys: JSON in, msgpack out, state with a durable "
        "changelog. Ours is exactly once; a plain agent is at most once in effect (it acknowledges "
        f"what failed) and gets every {_FAUST_SHARE}th event. The"
        " last column is its CPU over this one's.",
        [
            {**row, "times plain Faust": plain / float(row["CPU µs/event"])}
            if "events" in row
            else row
            for row in rows
        ],
    )


def _measure(
    what: str, servers: Servers, settings: Settings, command: tuple[str, ...], events: int
) -> list[Row]:
    engine, *arguments = command
    port = free_port()
    spec = Spec(
        name="-".join(command),
        argv=(sys.executable, "-m", f"benchmarks.engine_{engine}", *arguments),
        env={
            **environment(settings),
            "CUSTOMEROS_METRICS__PORT": str(port),
            "PYTHONPATH": str(ROOT),
        },
        ready=f"http://{LOOPBACK}:{port}/metrics",
    )
    with running(spec, settings.home / "logs") as worker:
        pace = watch(worker, servers, done=lambda looks: looks[-1].records >= events)
    return [row for row in pace.rows(what, pace.records) if row["what"] != "· clickhouse"]


def _produce(settings: Settings, events: int) -> None:
    client = producer(settings, **{"queue.buffering.max.messages": 2 * _PRODUCED_AT_ONCE})
    topic = prefixed(settings, SOURCE)
    for number, (key, value) in enumerate(clicks(events)):
        client.produce(topic, value, key)
        if number % _PRODUCED_AT_ONCE == 0:
            client.flush()
    client.flush()
