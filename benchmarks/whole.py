"""What does an event cost from end to end, with everything running at full speed?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from benchmarks.measurement import Measurement
from benchmarks.plots import Kind, Plot
from benchmarks.progress import cost, partitions_owned
from benchmarks.report import Row, Section
from benchmarks.rig import (
    Running,
    Servers,
    check_alive,
    installation,
    is_through,
    running_all,
    send_all,
    wait_until,
)
from benchmarks.traffic import mix_of, traffic
from benchmarks.usage import Usage, peak_rss_bytes, usage
from customeros.ops.demo.checks import stored_counts
from customeros.ops.lag import READS
from customeros.ops.stages import STAGES
from customeros.runtime.clickhouse import connect
from customeros.runtime.settings import Settings

_T = TypeVar("_T")

_SEED: Final = 4
_WARM_UP_EVENTS: Final = 200
_BATCH: Final = 100
_CONNECTIONS: Final = 4
_CPU: Final = "CPU µs/event"
_MEMORY: Final = ("RSS MB", "peak RSS MB")
PROCESSES: Final = (
    *("collector", "resolve", "graph", "state", "sink-clickhouse", "api"),
    *("kafka", "clickhouse", "client"),
)
_PATIENCE_SECONDS: Final = 1_800.0
_POLL_SECONDS: Final = 0.1


def measure_whole(servers: Servers, *, events: int, run: int) -> list[Section]:
    """From the first request until every event is in ClickHouse and in its customer's state."""
    stream = traffic(_SEED)
    warm_up = list(islice(stream, _WARM_UP_EVENTS))
    calls = list(islice(stream, events))
    settings = installation(servers, f"whole-{run}")
    with running_all(settings) as processes:
        wait_until_opened(settings, processes)
        send_all(settings, warm_up, batch=_BATCH, connections=_CONNECTIONS)
        when_arrived(settings, processes.values(), _WARM_UP_EVENTS, time.monotonic)
        pids = pids_of(servers, processes)

        def moment() -> tuple[float, dict[str, Usage]]:
            return time.monotonic(), {name: usage(pid) for name, pid in pids.items()}

        began, before = moment()
        send_all(settings, calls, batch=_BATCH, connections=_CONNECTIONS)
        sent = time.monotonic() - began
        arrived, after = when_arrived(
            settings, processes.values(), _WARM_UP_EVENTS + events, moment
        )
        peaks = {name: peak_rss_bytes(pid) for name, pid in pids.items()}
        families = _families(settings)
    seconds = arrived - began
    by_process: list[Row] = [
        {
            "process": name,
            **cost(before[name], after[name], events),
            "peak RSS MB": round(peaks[name] / 1e6),
        }
        for name in pids
    ]
    platform = [row for row in by_process if row["process"] != "client"]
    whole: Row = {
        "what": "end to end",
        "events": events,
        "seconds": seconds,
        "events/s": events / seconds,
        _CPU: _sum(by_process, _CPU),
        **{name: _sum(platform, name) for name in _MEMORY},
    }
    accepted: Row = {
        "what": "accepted by the collector",
        "events": events,
        "seconds": sent,
        "events/s": events / sent,
    }
    return [
        Section(
            "End to end",
            "All processes at once, four connections that send batches of 100 as fast as they are "
            "taken, until ClickHouse holds and the customer states count every event (asked every "
            f"{_POLL_SECONDS:g} s). CPU is of all processes, memory of all but the client; the sum "
            "of peaks is more than was ever there at once.",
            [whole, accepted],
        ),
        Section("End to end, by process", "Of the same run.", by_process),
        Section(
            "Mix",
            "What was sent, and the families as ClickHouse has them.",
            [{**mix_of(calls), **families}],
        ),
    ]


def _sum(rows: Sequence[Row], name: str) -> float:
    return sum(float(row[name]) for row in rows)


def pids_of(servers: Servers, processes: Mapping[str, Running]) -> dict[str, int]:
    """Of everything that an event uses on this machine, this process included."""
    everything = {**processes, "kafka": servers.kafka, "clickhouse": servers.clickhouse}
    return {**{name: process.pid for name, process in everything.items()}, "client": os.getpid()}


def wait_until_opened(settings: Settings, processes: dict[str, Running]) -> None:
    """Return when every worker has opened all its partitions."""
    for stage in STAGES:
        wait_until(
            lambda worker=processes[stage]: (  # type: ignore[misc]
                partitions_owned(worker) == settings.kafka.partitions
            ),
            seconds=60,
            what=f"{stage} owns its partitions",
        )


def when_arrived(
    settings: Settings, processes: Collection[Running], events: int, moment: Callable[[], _T]
) -> _T:
    """
    The moment from which on all was there; returns when no stage has anything left to do.

    Raises:
        ChildProcessError: one of *processes* ended before.
    """
    with connect(settings, settings.clickhouse.database) as client:

        def have_arrived() -> bool:
            check_alive(processes)
            return are_there(client, events)

        while True:
            wait_until(
                have_arrived,
                seconds=_PATIENCE_SECONDS,
                what="all events arrive",
                every=_POLL_SECONDS,
            )
            arrived = moment()
            if is_through(settings, *READS):
                return arrived


def are_there(client: Client, events: int) -> bool:
    """Whether ClickHouse holds and the customer states there count so many."""
    try:
        # Costs nothing, and while it is too small there is no need to count exactly.
        if int(str(client.command("SELECT count() FROM events_log"))) < events:
            return False
        counts = stored_counts(client)
    except ClickHouseError:
        return False
    return counts["events"] == counts["folded"] == events


def _families(settings: Settings) -> dict[str, float]:
    sql = (
        "SELECT family, 100 * count() / sum(count()) OVER () FROM events_log GROUP BY 1 ORDER BY 1"
    )
    with connect(settings, settings.clickhouse.database) as client:
        return {f"{family} %": float(share) for family, share in client.query(sql).result_rows}


MEASUREMENT: Final = Measurement(
    "whole",
    lambda run: measure_whole(run.servers(), events=run.sizes.events, run=run.number),
    plots=(
        Plot(
            name="whole",
            section="End to end, by process",
            question="Where does an event's CPU go, all the way?",
            kind=Kind.STACKED,
            x="",
            values=("CPU µs/event",),
            by="process",
            unit="CPU µs per event",
            aim=250,
        ),
    ),
)
