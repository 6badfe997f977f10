"""How does our runtime compare with what a user would pick instead? One job, one Kafka."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import Final, NamedTuple

from benchmarks.engine.engines import ENGINES, Engine, NotHere
from benchmarks.engine.job import Sums, clicks, right_sums
from benchmarks.engine.ours import OUTPUT, SOURCE, stage_of
from benchmarks.engine.verdict import Said, judged
from benchmarks.engine.worker import Told, environment_of
from benchmarks.machine import ROOT
from benchmarks.measurement import Measurement, Sizes
from benchmarks.plots import Kind, Plot
from benchmarks.progress import Pace, cost, records_read, watch
from benchmarks.report import Row, Section
from benchmarks.rig import Servers, installation, running, wait_until
from customeros.runtime.clients import producer
from customeros.runtime.settings import LOOPBACK, Settings, Worker
from customeros.runtime.stack.ports import free_port
from customeros.runtime.stack.processes import Spec, environment
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import changelog

# Kafka Streams' own for exactly once; all are told it.
COMMIT_SECONDS: Final = 0.1
_PRODUCED_AT_ONCE: Final = 10_000
# Of what is measured as much comes before; the engines of the JVM say how much more they need.
_WARM_PARTS: Final = 4
_PLOTTED: Final = "Engine, but for plain Faust"
_OFF_THE_SCALE: Final = "faust"
# What was read is said within a few commits; a reader of transactions waits for the last of them.
_PATIENCE_SECONDS: Final = 15.0
# A cluster of Flink's takes half a minute to start where others are at work.
_HALF_SECONDS: Final = 300.0
# A group waits so long for a member that was killed: Faust's 60 s are the longest here.
_KILLED_PATIENCE_SECONDS: Final = 90.0


class Backlog(NamedTuple):
    """Events that wait in a topic of their own, and what is right once all are counted."""

    settings: Settings
    events: int
    right: Mapping[bytes, Sums]


def measure_engine(
    servers: Servers, *, events: int, run: int, only: Sequence[str] = ()
) -> list[Section]:
    """One row for every engine of *only*, or of all; where there is no figure, why not."""

    @cache
    def backlog(count: int) -> Backlog:
        return _backlog(servers, f"engine-{run}-{count}", count)

    chosen = _chosen(only)
    rows: dict[str, Row] = {}
    # Whoever comes late finds a broker that is warm: each run begins at the other end.
    for engine in chosen if run % 2 else reversed(chosen):
        part = events // engine.part
        warm = max(part // _WARM_PARTS, engine.warm)
        rows[engine.name] = _paced(engine, servers, backlog(warm + part), warm=warm)
    compared = dict(_compared({engine.name: rows[engine.name] for engine in chosen}))
    return [
        Section(
            "Engine",
            "Count and sum by key over 10,000 keys: JSON in, msgpack out, durable state. Commits"
            f" every {COMMIT_SECONDS * 1000:.0f} ms, where it does not say otherwise. `times` is"
            " CPU over that of the first row.",
            list(compared.values()),
        ),
        Section(
            _PLOTTED,
            "Beside plain Faust's the others' bars could not be told apart.",
            [row for name, row in compared.items() if name != _OFF_THE_SCALE],
            shown=False,
        ),
    ]


def measure_killed(servers: Servers, *, events: int, run: int, only: Sequence[str] = ()) -> Section:
    """Kill each in the middle (SIGKILL), start it again, and read what it said."""

    @cache
    def backlog(count: int) -> Backlog:
        return _backlog(servers, f"killed-{run}-{count}", count)

    return Section(
        "Engine, killed once",
        "Killed with SIGKILL in the middle of its backlog and started again on the same disk; all"
        " that it said is read by a reader of committed records, and counted. `seconds` from the"
        " start to the last sum.",
        [_killed(e, servers, backlog(2 * events // e.part)) for e in _chosen(only)],
    )


def _chosen(only: Collection[str]) -> list[Engine]:
    return [engine for engine in ENGINES if not only or engine.name in only]


def _paced(engine: Engine, servers: Servers, backlog: Backlog, *, warm: int) -> Row:
    try:
        spec = _spec(engine, backlog)
    except NotHere as reason:
        return {"what": engine.what, "result": f"not run: {reason}"}
    settings = backlog.settings
    with closing(Said(settings, prefixed(settings, OUTPUT))) as said:
        try:
            with running(spec, settings.home / "logs") as worker:
                pace = watch(
                    worker,
                    servers,
                    done=lambda looks: looks[-1].records >= backlog.events,
                    warm=warm,
                )
                said.listen(backlog.right, patience_seconds=_PATIENCE_SECONDS)
        except (OSError, TimeoutError) as error:
            return {"what": engine.what, "result": f"failed: {error}"}
    return {
        **_figures(engine, pace),
        "promises": engine.promises,
        "result": judged(said.last, said.outputs, backlog.right, each=engine.each),
    }


def _figures(engine: Engine, pace: Pace) -> Row:
    own, kafka, _ = pace.last.usages
    seconds = pace.last.at - pace.first.at
    events = round(pace.records * pace.share)
    spent = cost(pace.first.usages[own], pace.last.usages[own], events)
    broker = cost(pace.first.usages[kafka], pace.last.usages[kafka], events)
    return {
        "what": engine.what,
        "events": events,
        "events/s": events / seconds,
        **spent,
        "Kafka's µs": broker["CPU µs/event"],
    }


def _compared(rows: Mapping[str, Row]) -> Iterator[tuple[str, Row]]:
    """With each one's CPU over that of the first, which is ours if it is among them."""
    own = next(iter(rows.values())).get("CPU µs/event")
    for name, row in rows.items():
        cpu = row.get("CPU µs/event")
        if isinstance(own, float) and isinstance(cpu, float):
            yield name, {**row, "times": cpu / own}
        else:
            yield name, row


def _killed(engine: Engine, servers: Servers, backlog: Backlog) -> Row:
    try:
        spec = _spec(engine, backlog)
    except NotHere as reason:
        return {"what": engine.what, "result": f"not run: {reason}"}
    settings = backlog.settings
    logs = settings.home / "logs"
    with closing(Said(settings, prefixed(settings, OUTPUT))) as said:
        try:
            with running(spec, logs) as worker:
                wait_until(
                    lambda: records_read(worker) >= backlog.events // 2,
                    seconds=_HALF_SECONDS,
                    what=spec.name,
                )
                worker.child.kill()
                worker.child.wait()
            begun = time.monotonic()
            with running(spec, logs):
                said.listen(backlog.right, patience_seconds=_KILLED_PATIENCE_SECONDS)
        except (OSError, TimeoutError) as error:
            return {"what": engine.what, "result": f"failed: {error}"}
    return {
        "what": engine.what,
        "events": backlog.events,
        "seconds": said.heard - begun,
        "promises": engine.promises,
        "result": judged(said.last, said.outputs, backlog.right, each=engine.each),
    }


def _spec(engine: Engine, backlog: Backlog) -> Spec:
    """
    Its process, with a folder of its own.

    Raises:
        NotHere: it cannot run on this machine.
    """
    settings = backlog.settings
    folder = settings.home / engine.name
    classes = folder / "classes"
    classes.mkdir(parents=True)
    told = Told(
        bootstrap=settings.bootstrap,
        source=prefixed(settings, SOURCE),
        output=prefixed(settings, OUTPUT),
        name=f"{settings.prefix}{engine.name}",
        partitions=settings.kafka.partitions,
        folder=folder / "state",
        port=free_port(),
        commit_seconds=COMMIT_SECONDS,
    )
    return Spec(
        name=engine.name,
        argv=engine.command(classes),
        env={
            **environment(settings),
            **environment_of(told),
            "CUSTOMEROS_METRICS__PORT": str(told.port),
            "PYTHONPATH": str(ROOT),
        },
        ready=f"http://{LOOPBACK}:{told.port}/metrics",
    )


def _backlog(servers: Servers, name: str, events: int) -> Backlog:
    settings = installation(servers, name).model_copy(
        update={"worker": Worker(commit_seconds=COMMIT_SECONDS)}
    )
    ensure_topics(settings, [changelog(stage_of(each)) for each in ("event", "batch")])
    client = producer(settings, **{"queue.buffering.max.messages": 2 * _PRODUCED_AT_ONCE})
    topic = prefixed(settings, SOURCE)
    for number, (key, value) in enumerate(clicks(events)):
        client.produce(topic, value, key)
        if number % _PRODUCED_AT_ONCE == 0:
            client.flush()
    client.flush()
    return Backlog(settings, events, right_sums(events))


MEASUREMENT: Final = Measurement(
    "engine",
    lambda run: measure_engine(
        run.servers(), events=run.sizes.events, run=run.number, only=run.sizes.only
    ),
    usual=Sizes(events=200_000),
    plots=(
        Plot(
            name="engine",
            section=_PLOTTED,
            question="What does one durable state update cost, by engine?",
            kind=Kind.STACKED,
            x="what",
            values=("CPU µs/event", "Kafka's µs"),
            unit="CPU µs per event",
        ),
    ),
)
KILLED: Final = Measurement(
    "engine-killed",
    lambda run: [
        measure_killed(run.servers(), events=run.sizes.events, run=run.number, only=run.sizes.only)
    ],
    usual=Sizes(events=10_000),
    apart=True,
)
