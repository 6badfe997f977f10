"""How long until an event that came can be asked for, and by how much the load matters?"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from itertools import islice
from statistics import quantiles
from typing import Final, NamedTuple

from benchmarks.measurement import Measurement, Sizes
from benchmarks.plots import Kind, Plot
from benchmarks.report import Row, Section
from benchmarks.rig import Servers, installation, running_all, tracking_client, wait_until
from benchmarks.traffic import Call, traffic
from benchmarks.usage import usage
from benchmarks.watching import (
    Watcher,
    in_api,
    in_clickhouse,
    in_states,
    path_of,
    probe_id,
    states_from_now_on,
)
from benchmarks.whole import PROCESSES, are_there, pids_of, wait_until_opened
from customeros.connectors.tracking import TrackingClient
from customeros.runtime.clickhouse import connect
from customeros.runtime.settings import LOOPBACK, Settings

_SEED: Final = 6
_LOADS_PERCENT: Final = (10, 50, 80)
# As SDKs send by default; more connections than calls that are under way at once.
_BATCH: Final = 20
_CONNECTIONS: Final = 16
_PROBES_PER_SECOND: Final = 20
_LOOK_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 60.0
# A rate is held if everything is everywhere so soon after the last event was due.
_HELD_SECONDS: Final = 3.0
_FIRST_RATE: Final = 1_000.0
_RATE_STEP: Final = 1.25
_PLACES: Final = ("accepted", "in customer-state", "in ClickHouse", "in the API")

Moments = dict[str, float]


class _Load(NamedTuple):
    """
    What one load brought.

    Args:
        rate: events/s.
        took: ms from when each probe was due, by place; those never seen count until given up.
        unseen: how many these are, by place.
        cpu: µs per event, by process.
    """

    rate: float
    took: Mapping[str, Sequence[float]]
    unseen: Mapping[str, int]
    cpu: Mapping[str, float]


def measure_latency(
    servers: Servers, *, seconds: float, events: int, rate: float, run: int
) -> list[Section]:
    """
    Batches that are due at fixed times, whatever became of the ones before.

    Args:
        seconds: of each load, after half as many without a question.
        rate: of which the loads are shares, events/s; 0: the highest that is held.
        events: to find that rate with; no step begins after so many.
    """
    settings = installation(servers, f"latency-{run}")
    stream = traffic(_SEED, now=True)
    with running_all(settings) as processes:
        wait_until_opened(settings, processes)
        pids = pids_of(servers, processes)
        rate = rate or _held_rate(settings, stream, seconds=seconds, events=events)
        loads = {
            percent: _load(
                settings,
                stream,
                pids,
                rate=rate * percent / 100,
                seconds=seconds,
                first_probe=percent * 1_000_000,
            )
            for percent in _LOADS_PERCENT
        }
    return [
        Section(
            "Latency",
            f"Since each batch of {_BATCH} was due, at shares of {rate:,.0f} events/s, the most of "
            f"1,000, 1,250, 1,563 … that the machine held: {seconds:g} s of it were everywhere "
            f"{_HELD_SECONDS:g} s after the last. Each load lasts {seconds:g} s. "
            f"{_PROBES_PER_SECOND} events a second are looked for: by a reader of customer-state, "
            "by a SELECT and by a GET of the customer, every "
            f"{_LOOK_SECONDS * 1000:g} ms or as often as there is an answer, which is part "
            "of the figure.",
            [_row(place, percent, load) for place in _PLACES for percent, load in loads.items()],
        ),
        Section(
            "CPU by load",
            "CPU µs per event at these loads, while nobody asks.",
            [
                {"load": f"{percent} %", "events/s": load.rate, **load.cpu}
                for percent, load in loads.items()
            ],
        ),
    ]


def _held_rate(settings: Settings, stream: Iterator[Call], *, seconds: float, events: int) -> float:
    """Events/s; from the first rate on upwards, or downwards if that is too much."""
    sent = 0

    def is_held(rate: float) -> bool:
        nonlocal sent
        batches = max(1, round(seconds * rate / _BATCH))
        sent += batches * _BATCH
        return _is_held(settings, stream, batches=batches, seconds=seconds, there=sent)

    rate = _FIRST_RATE
    up = is_held(rate)
    while sent < events:
        other = rate * _RATE_STEP if up else rate / _RATE_STEP
        if is_held(other) != up:
            return rate if up else other
        rate = other
    return rate


def _is_held(
    settings: Settings, stream: Iterator[Call], *, batches: int, seconds: float, there: int
) -> bool:
    """Returns when *there* events in all are everywhere, these *batches* in *seconds* the last."""
    began = time.monotonic()
    with _Sending(settings) as sending:
        for _ in _paced(batches, batches / seconds):
            sending.send([dict(call) for call in islice(stream, _BATCH)], None)
        sending.finish()
    # Without the stages' lags, as `when_arrived` has them: to ask for these takes two seconds.
    with connect(settings, settings.clickhouse.database) as client:
        wait_until(
            lambda: are_there(client, there),
            seconds=_PATIENCE_SECONDS,
            what="everything is everywhere",
            every=_LOOK_SECONDS,
        )
    return time.monotonic() <= began + seconds + _HELD_SECONDS


def _load(
    settings: Settings,
    stream: Iterator[Call],
    pids: Mapping[str, int],
    *,
    rate: float,
    seconds: float,
    first_probe: int,
) -> _Load:
    probes: dict[str, str] = {}
    due: Moments = {}
    batches_per_second = rate / _BATCH
    quiet = max(2, round(seconds / 2 * batches_per_second))
    every = max(1, round(batches_per_second / _PROBES_PER_SECOND))
    with ExitStack() as stack:
        client = stack.enter_context(connect(settings, settings.clickhouse.database))
        states = stack.enter_context(closing(states_from_now_on(settings)))
        api = stack.enter_context(closing(HTTPConnection(LOOPBACK, settings.api.port)))
        watchers = {
            place: stack.enter_context(Watcher(probes, look, seconds=pause))
            for place, look, pause in (
                ("in customer-state", in_states(states), 0.0),
                ("in ClickHouse", in_clickhouse(client), _LOOK_SECONDS),
                ("in the API", in_api(api, settings, probes), _LOOK_SECONDS),
            )
        }
        sending = stack.enter_context(_Sending(settings))
        used: list[tuple[float, dict[str, float]]] = []
        batches = quiet + max(every, round(seconds * batches_per_second))
        for number, due_at in _paced(batches, batches_per_second):
            if number in (quiet // 2, quiet):
                used.append((time.monotonic(), _cpu_seconds(pids)))
            calls = [dict(call) for call in islice(stream, _BATCH)]
            probe = None
            if number >= quiet and number % every == 0:
                probe = calls[0]["messageId"] = probe_id(first_probe + len(probes))
                due[probe] = due_at
                probes[probe] = path_of(calls[0])
            sending.send(calls, probe)
        seen = {"accepted": sending.finish()}
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while any(each.pending() for each in watchers.values()) and time.monotonic() < give_up_at:
            time.sleep(_LOOK_SECONDS)
        now = time.monotonic()
        seen |= {place: dict(each.moments) for place, each in watchers.items()}
    (since, before), (until, after) = used
    events = rate * (until - since)
    return _Load(
        rate,
        {p: [(seen[p].get(probe, now) - due[probe]) * 1000 for probe in due] for p in _PLACES},
        {place: len(due.keys() - seen[place].keys()) for place in _PLACES},
        {name: (after[name] - before[name]) / events * 1e6 for name in pids},
    )


def _paced(batches: int, per_second: float) -> Iterator[tuple[int, float]]:
    """Each batch's number and the moment it was due, once that has come."""
    began = time.monotonic()
    for number in range(batches):
        due_at = began + number / per_second
        time.sleep(max(0.0, due_at - time.monotonic()))
        yield number, due_at


class _Sending:
    """Batches over connections of their own, none of which waits for another."""

    def __init__(self, settings: Settings) -> None:
        self._clients: queue.SimpleQueue[TrackingClient] = queue.SimpleQueue()
        for _ in range(_CONNECTIONS):
            self._clients.put(tracking_client(settings, batch=_BATCH))
        self._pool = ThreadPoolExecutor(_CONNECTIONS)
        self._sent: list[Future[None]] = []
        self._accepted: Moments = {}

    def __enter__(self) -> _Sending:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        while not self._clients.empty():
            self._clients.get().close()

    def send(self, calls: Sequence[Call], probe: str | None) -> None:
        """Returns at once."""
        self._sent.append(self._pool.submit(self._send, calls, probe))

    def finish(self) -> Moments:
        """When each probe's batch was accepted; raises what sending raised."""
        for sent in self._sent:
            sent.result()
        return self._accepted

    def _send(self, calls: Sequence[Call], probe: str | None) -> None:
        client = self._clients.get()
        client.send_all(calls)
        if probe:
            self._accepted[probe] = time.monotonic()
        self._clients.put(client)


def _cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: usage(pid).cpu_seconds for name, pid in pids.items()}


def _row(place: str, percent: int, load: _Load) -> Row:
    took = sorted(load.took[place])
    cuts = quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
    row: Row = {
        "what": f"{place}, {percent} %",
        "events/s": load.rate,
        "probes": len(took),
        "p50 ms": cuts[49],
        "p95 ms": cuts[94],
        "p99 ms": cuts[98],
        "max ms": took[-1],
    }
    return {**row, "unseen": load.unseen[place]} if load.unseen[place] else row


MEASUREMENT: Final = Measurement(
    "latency",
    lambda run: measure_latency(
        run.servers(),
        seconds=run.sizes.seconds,
        events=run.sizes.events,
        rate=run.sizes.rate,
        run=run.number,
    ),
    usual=Sizes(events=500_000, seconds=30),
    quick=Sizes(events=500, seconds=1),
    plots=(
        Plot(
            name="latency",
            section="Latency",
            question="How soon can an event be asked for, at 10, 50 and 80 % of what is held?",
            kind=Kind.NESTED,
            x="what",
            values=("p50 ms", "p95 ms", "p99 ms"),
            unit="ms since it was due to be sent",
            aim=1_000,
        ),
        Plot(
            name="cpu-by-load",
            section="CPU by load",
            question="Does an event cost more where there are few?",
            kind=Kind.STACKED,
            x="load",
            values=PROCESSES,
            unit="CPU µs per event",
        ),
    ),
)
