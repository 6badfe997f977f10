"""What does each stage cost? One after another on the same events, each alone on the servers."""

from __future__ import annotations

import time
from itertools import islice
from typing import Final

from benchmarks.floor import Traffic, measure_floor, traffic_from_now
from benchmarks.measurement import Measurement
from benchmarks.plots import Kind, Plot
from benchmarks.progress import cost, is_quiet, servers_cost, watch
from benchmarks.report import Row, Section
from benchmarks.rig import Servers, installation, is_through, running, send_all, specs_of
from benchmarks.traffic import Call, traffic
from benchmarks.usage import usage
from customeros.runtime.settings import Settings

_SEED: Final = 3
_BATCH: Final = 100
_BATCH_CONNECTIONS: Final = 4
_SINGLE_CONNECTIONS: Final = 16
# Sent before the clock starts, so that nothing is met for the first time.
_WARM_UP_SHARE: Final = 0.05
_CPU: Final = ("CPU µs/event", "Kafka's µs", "ClickHouse's µs")
_FLOOR: Final = ("floor: reading", "floor: writing", "floor µs/event")
# Resolve comes a second time, for the assignments that the graph gave.
_ORDER: Final = (
    ("resolve: events", "resolve"),
    ("graph", "graph"),
    ("resolve: assignments", "resolve"),
    ("state", "state"),
    ("sink", "sink-clickhouse"),
)


def measure_stages(servers: Servers, *, events: int, run: int) -> list[Section]:
    """Every stage on *events* of the seeded traffic; the collector singly on a tenth of them."""
    calls = list(islice(traffic(_SEED), events))
    name = f"stages-{run}"
    few = calls[: max(events // 10, _SINGLE_CONNECTIONS)]
    alone = installation(servers, f"{name}-single")
    single = _collect("collector: single calls", servers, alone, few, batch=1)
    settings = installation(servers, name)
    rows = [_collect("collector: batches of 100", servers, settings, calls, batch=_BATCH)]
    rows += [_stage(what, stage, servers, settings, events) for what, stage in _ORDER]
    total = {name: sum(float(row.get(name, 0)) for row in rows) for name in (*_CPU, *_FLOOR)}
    rows = [single, *rows, {"what": "all but single calls", **total}]
    return [
        Section(
            "Stages",
            "One after another, on a backlog and alone. CPU is user and system of all threads; the "
            "servers' is what they used meanwhile. Resolve and graph are per event sent, not per "
            "record.",
            [{name: row[name] for name in row if "floor" not in name} for row in rows],
        ),
        Section(
            "Floor",
            "What a stage could cost at the least in Python: the records that it read, read by "
            "bare librdkafka and decoded, and the records that it wrote, its changelog included, "
            "written by bare librdkafka, without transactions; for the collector the writing "
            "alone, for the sink the reading alone, undecoded. `times` is the stage over its "
            "floor.",
            [_beside_floor(row) for row in rows],
        ),
    ]


def _collect(
    what: str, servers: Servers, settings: Settings, calls: list[Call], *, batch: int
) -> Row:
    connections = _BATCH_CONNECTIONS if batch > 1 else _SINGLE_CONNECTIONS
    begin = max(int(len(calls) * _WARM_UP_SHARE), 1)
    count = len(calls) - begin
    with running(specs_of(settings)["collector"], settings.home / "logs") as collector:
        send_all(settings, calls[:begin], batch=batch, connections=connections)
        pids = {"collector": collector.pid, "kafka": servers.kafka.pid}
        until_now = traffic_from_now("collector", settings)
        before = {name: usage(pid) for name, pid in pids.items()}
        began = time.monotonic()
        send_all(settings, calls[begin:], batch=batch, connections=connections)
        seconds = time.monotonic() - began
        after = {name: usage(pid) for name, pid in pids.items()}
        found = until_now()
    return {
        "what": what,
        "events": count,
        "seconds": seconds,
        "events/s": count / seconds,
        **cost(before["collector"], after["collector"], count),
        **servers_cost(before, after, count),
        **_floor("collector", servers, settings, found, count),
    }


def _stage(what: str, stage: str, servers: Servers, settings: Settings, events: int) -> Row:
    until_now = traffic_from_now(stage, settings)
    with running(specs_of(settings)[stage], settings.home / "logs") as worker:
        pace = watch(
            worker,
            servers,
            done=lambda looks: is_quiet(looks) and is_through(settings, stage),
        )
    found = until_now()
    row = {**pace.row(what, events), **_floor(stage, servers, settings, found, events)}
    return {k: v for k, v in row.items() if k != "ClickHouse's µs" or stage == "sink-clickhouse"}


def _floor(
    stage: str, servers: Servers, settings: Settings, found: Traffic, events: int
) -> dict[str, float]:
    floor = measure_floor(stage, servers, settings, found)
    return {
        name: seconds / events * 1e6
        for name, seconds in zip(_FLOOR, (*floor, sum(floor)), strict=True)
    }


def _beside_floor(row: Row) -> Row:
    names = ("what", "CPU µs/event", *_FLOOR)
    times = float(row["CPU µs/event"]) / max(float(row["floor µs/event"]), 0.01)
    return {**{name: row[name] for name in names if name in row}, "times": times}


MEASUREMENT: Final = Measurement(
    "stages",
    lambda run: measure_stages(run.servers(), events=run.sizes.events, run=run.number),
    plots=(
        Plot(
            name="stages",
            section="Stages",
            question="What does each stage cost alone, and what the servers for it?",
            kind=Kind.STACKED,
            x="what",
            values=_CPU,
            unit="CPU µs per event",
        ),
        Plot(
            name="floor",
            section="Floor",
            question="How far is each stage from what Python could do at best?",
            kind=Kind.BARS,
            x="what",
            values=("CPU µs/event", "floor µs/event"),
            unit="CPU µs per event, without the servers",
        ),
    ),
)
