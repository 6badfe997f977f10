"""What does each stage cost? One after another on the same events, each alone on the servers."""

from __future__ import annotations

import time
from itertools import islice
from typing import Final

from benchmarks.measurement import Measurement
from benchmarks.progress import cost, is_quiet, watch
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
# Resolve comes a second time, for the assignments that the graph gave.
_ORDER: Final = (
    ("resolve: events", "resolve"),
    ("graph", "graph"),
    ("resolve: assignments", "resolve"),
    ("state", "state"),
    ("sink", "sink-clickhouse"),
)


def measure_stages(servers: Servers, *, events: int, run: int) -> Section:
    """Every stage on *events* of the seeded traffic; the collector singly on a tenth of them."""
    calls = list(islice(traffic(_SEED), events))
    name = f"stages-{run}"
    few = calls[: max(events // 10, _SINGLE_CONNECTIONS)]
    alone = installation(servers, f"{name}-single")
    single = _collect("collector: single calls", servers, alone, few, batch=1)
    settings = installation(servers, name)
    rows = _collect("collector: batches of 100", servers, settings, calls, batch=_BATCH)
    for what, stage in _ORDER:
        rows += _stage(what, stage, servers, settings, events)
    total = sum(float(row["CPU µs/event"]) for row in rows)
    return Section(
        "Stages",
        "One after another, on a backlog and alone. CPU is user and system of all threads; the "
        "servers' rows are what they used meanwhile. Resolve and graph are per event sent, not per "
        "record. The sum leaves single calls out.",
        [*single, *rows, {"what": "all, servers included", "CPU µs/event": total}],
    )


def _collect(
    what: str, servers: Servers, settings: Settings, calls: list[Call], *, batch: int
) -> list[Row]:
    connections = _BATCH_CONNECTIONS if batch > 1 else _SINGLE_CONNECTIONS
    begin = max(int(len(calls) * _WARM_UP_SHARE), 1)
    with running(specs_of(settings)["collector"], settings.home / "logs") as collector:
        send_all(settings, calls[:begin], batch=batch, connections=connections)
        pids = {"collector": collector.pid, "kafka": servers.kafka.pid}
        before = {name: usage(pid) for name, pid in pids.items()}
        began = time.monotonic()
        send_all(settings, calls[begin:], batch=batch, connections=connections)
        seconds = time.monotonic() - began
        after = {name: usage(pid) for name, pid in pids.items()}
    count = len(calls) - begin
    used = {name: cost(before[name], after[name], count) for name in pids}
    return [
        {
            "what": what,
            "events": count,
            "seconds": seconds,
            "events/s": count / seconds,
            **used["collector"],
        },
        {"what": "· kafka", **used["kafka"]},
    ]


def _stage(what: str, stage: str, servers: Servers, settings: Settings, events: int) -> list[Row]:
    with running(specs_of(settings)[stage], settings.home / "logs") as worker:
        pace = watch(
            worker,
            servers,
            done=lambda looks: is_quiet(looks) and is_through(settings, stage),
        )
    own, kafka, clickhouse = pace.rows(what, events)
    return [own, kafka, clickhouse] if stage == "sink-clickhouse" else [own, kafka]


MEASUREMENT: Final = Measurement(
    "stages",
    lambda run: [measure_stages(run.servers(), events=run.sizes.events, run=run.number)],
)
