"""`python -m benchmarks`: run, print, keep."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.engine.engines import ENGINES
from benchmarks.engine.measure import measure_engine, measure_killed
from benchmarks.latency import measure_latency
from benchmarks.lines import count_lines
from benchmarks.machine import facts
from benchmarks.organisation import measure_organisation
from benchmarks.recovery import measure_recovery
from benchmarks.report import Section, median_of, show, write_json
from benchmarks.rig import running_servers
from benchmarks.stages import measure_stages
from benchmarks.supernode import measure_supernode
from benchmarks.whole import measure_whole


class Benchmark(StrEnum):
    STAGES = "stages"
    WHOLE = "whole"
    ENGINE = "engine"
    KILLED = "engine-killed"
    LATENCY = "latency"
    SUPERNODE = "supernode"
    ORGANISATION = "organisation"
    RECOVERY = "recovery"
    LOC = "loc"
    ALL = "all"


# Only when asked for: the first waits a minute for each engine whose group misses its killed
# member, the others are of many identifiers, not of events.
_APART = {
    Benchmark.KILLED,
    Benchmark.SUPERNODE,
    Benchmark.ORGANISATION,
    Benchmark.RECOVERY,
}

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def main(
    which: Annotated[Benchmark, typer.Argument()] = Benchmark.ALL,
    *,
    events: Annotated[int, typer.Option(help="Of each run.", min=100)] = 100_000,
    seconds: Annotated[float, typer.Option(help="Of the latency benchmark.", min=1)] = 30,
    identifiers: Annotated[
        int,
        typer.Option(
            help="Of the supernode, organisation (a tenth) and recovery benchmarks.", min=100
        ),
    ] = 100_000,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Of the engines: " + ", ".join(engine.name for engine in ENGINES)),
    ] = None,
    runs: Annotated[int, typer.Option(help="Of each benchmark; medians are told.", min=1)] = 1,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to FILE.")] = None,
) -> None:
    """Measure what an event costs; see docs/benchmarks.md."""
    if unknown := set(only or ()) - {engine.name for engine in ENGINES}:
        raise typer.BadParameter(f"no such engine: {', '.join(unknown)}", param_hint="--only")
    measured = facts()
    sections = list(
        _measure(
            which,
            events=events,
            seconds=seconds,
            identifiers=identifiers,
            engines=only or (),
            runs=runs,
        )
    )
    show(sections, measured)
    if json:
        write_json(json, sections, measured)


def _measure(
    which: Benchmark,
    *,
    events: int,
    seconds: float,
    identifiers: int,
    engines: Sequence[str],
    runs: int,
) -> Iterator[Section]:
    wanted = set(Benchmark) - _APART if which is Benchmark.ALL else {which}
    numbers = range(1, runs + 1)
    if Benchmark.SUPERNODE in wanted:
        yield median_of([measure_supernode(sharing=identifiers) for _ in numbers])
    if Benchmark.ORGANISATION in wanted:
        yield median_of([measure_organisation(members=identifiers // 10) for _ in numbers])
    if wanted - {Benchmark.LOC, Benchmark.SUPERNODE, Benchmark.ORGANISATION}:
        with running_servers() as servers:
            for benchmark, measure in (
                (Benchmark.STAGES, measure_stages),
                (Benchmark.WHOLE, measure_whole),
                (Benchmark.ENGINE, partial(measure_engine, only=engines)),
            ):
                if benchmark in wanted:
                    yield median_of([measure(servers, events=events, run=n) for n in numbers])
            if Benchmark.KILLED in wanted:
                yield measure_killed(servers, events=events, only=engines)
            if Benchmark.LATENCY in wanted:
                yield median_of([measure_latency(servers, seconds=seconds, run=n) for n in numbers])
            if Benchmark.RECOVERY in wanted:
                yield median_of(
                    [measure_recovery(servers, identifiers=identifiers, run=n) for n in numbers]
                )
    if Benchmark.LOC in wanted:
        yield count_lines()


if __name__ == "__main__":
    # What is measured here is this checkout with its defaults, whatever the shell exports.
    for name in [name for name in os.environ if name.startswith("CUSTOMEROS_")]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    app()
