"""How fast does a process take its backlog, and what does that cost? Watched from outside."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from benchmarks.report import Row
from benchmarks.rig import Running, Servers, wait_until
from benchmarks.usage import Usage, usage
from customeros.runtime.settings import LOOPBACK

# A look costs the watched process 1 to 3 ms of CPU: about 1 %.
_LOOK_SECONDS: Final = 0.2
_SERVERS: Final = {"kafka": "Kafka's µs", "clickhouse": "ClickHouse's µs"}
_ASK_SECONDS: Final = 0.1
# Longer than what a stage does between two batches of a backlog.
_QUIET_SECONDS: Final = 1.5
_PATIENCE_SECONDS: Final = 1_800.0
_READ: Final = re.compile(r"^customeros_records_read_total(?:\{.*\})? ([0-9.e+]+)$", re.MULTILINE)
_OWNED: Final = re.compile(r"^customeros_partitions_owned(?:\{.*\})? ([0-9.e+]+)$", re.MULTILINE)


class Look(NamedTuple):
    """One moment: records read since the process started, and what each process has used."""

    at: float
    records: int
    usages: Mapping[str, Usage]


class Pace(NamedTuple):
    """
    What happened between the first and the last record that was seen to be read.

    Args:
        share: of all records, those in between; the rest came before the first look at work.
    """

    records: int
    share: float
    first: Look
    last: Look

    def row(self, what: str, events: int) -> Row:
        """The process's figures for each of *events*, and the servers' in the same interval."""
        seconds = (self.last.at - self.first.at) / self.share
        own, *_ = self.last.usages
        return {
            "what": what,
            "events": events,
            "records": self.records,
            "seconds": seconds,
            "events/s": events / seconds,
            **cost(self.first.usages[own], self.last.usages[own], events * self.share),
            **servers_cost(self.first.usages, self.last.usages, events * self.share),
        }


def cost(before: Usage, after: Usage, events: float) -> Row:
    """CPU of each event, and memory at the end."""
    return {
        "CPU µs/event": (after.cpu_seconds - before.cpu_seconds) / events * 1e6,
        "RSS MB": round(after.rss_bytes / 1e6),
    }


def servers_cost(
    before: Mapping[str, Usage], after: Mapping[str, Usage], events: float
) -> dict[str, float]:
    """CPU that the servers used for each event, of those that were looked at."""
    return {
        column: (after[name].cpu_seconds - before[name].cpu_seconds) / events * 1e6
        for name, column in _SERVERS.items()
        if name in after
    }


def watch(
    worker: Running, servers: Servers, *, done: Callable[[Sequence[Look]], bool], warm: int = 0
) -> Pace:
    """
    Look on until *done*, which is given all looks so far and may take its time.

    Args:
        warm: so many records come before the clock starts.

    Raises:
        OSError: the worker ended before.
        TimeoutError: it did not get through.
    """
    looks = [_look(worker, servers)]
    stop = threading.Event()

    def look_on() -> None:
        while not stop.wait(_LOOK_SECONDS):
            looks.append(_look(worker, servers))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look_on)

        def settled() -> bool:
            if looking.done():
                looking.result()
            return done(looks)

        try:
            wait_until(
                settled, seconds=_PATIENCE_SECONDS, what=worker.spec.name, every=_ASK_SECONDS
            )
        finally:
            stop.set()
    return pace_of(looks, warm=warm)


def is_quiet(looks: Sequence[Look]) -> bool:
    """Whether something was read, and then nothing more for a while."""
    last = looks[-1]
    before = next((k for k in reversed(looks) if k.at < last.at - _QUIET_SECONDS), None)
    return before is not None and 0 < before.records == last.records


def pace_of(looks: Sequence[Look], *, warm: int = 0) -> Pace:
    """Joining, recovering, warming up and waiting at either end are left out."""
    total = looks[-1].records
    if not total:
        raise ValueError("nothing was read")
    last = next(look for look in looks if look.records == total)
    first = next(look for look in looks if look.records > min(warm, total - 1))
    if first.records == total:
        # So few that they came between two looks.
        begun = looks.index(first)
        first = looks[max(begun - 1, 0)]
        last = looks[max(begun, 1)]
    return Pace(total, (last.records - first.records) / total or 1.0, first, last)


def records_read(worker: Running) -> int:
    """How many records it has read since its start."""
    return _sum(_READ, _metrics(worker))


def partitions_owned(worker: Running) -> int:
    """How many input partitions it has opened."""
    return _sum(_OWNED, _metrics(worker))


def _look(worker: Running, servers: Servers) -> Look:
    pids = {
        worker.spec.name: worker.pid,
        "kafka": servers.kafka.pid,
        "clickhouse": servers.clickhouse.pid,
    }
    records = records_read(worker)
    return Look(time.monotonic(), records, {name: usage(pid) for name, pid in pids.items()})


def _metrics(worker: Running) -> str:
    url = f"http://{LOOPBACK}:{worker.spec.env['CUSTOMEROS_METRICS__PORT']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _sum(pattern: re.Pattern[str], text: str) -> int:
    return round(sum(float(found) for found in pattern.findall(text)))
