"""What do time and memory grow with? One dimension at a time, in this process."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.inside import Inside, an_event
from benchmarks.measurement import Measurement, Sizes
from benchmarks.plots import Kind, Plot
from benchmarks.report import Row, Section
from benchmarks.usage import usage
from customeros.schemas.event import Event
from customeros.schemas.identifier import MAX_MEMBERS, Identifier
from customeros.schemas.topics import ASSIGNMENTS

_CHUNK: Final = 5_000
_SAMPLE: Final = 2_000
_ALONE: Final = 100
# Of an identifier, so many others come beside it, and it came beside one before it.
_FANOUT: Final = 8
_UNCOUNTED: Final = {"moved"}
_PER_CUSTOMER: Final = (1, 10, 100, 1_000, 2_000)
_EVENTS: Final = (1, 10, 100, 1_000, 10_000, 100_000)
_MERGED: Final = (2, 20, 200, 1_000, 2_000)
_INSIDE: Final = "CPU of resolve, graph and state in one process, on RocksDB, without a broker. "
_EXPONENT: Final = (
    " The last row is the exponent of a power of what the row begins with: 0 is the same however "
    "many there are, 1 is as many times as much; log n would be about 0.1."
)


def measure_growth(*, customers: int) -> list[Section]:
    """The four dimensions, each up to *customers* at most."""
    return [
        Section(
            "Growth with customers",
            _INSIDE + "So many customers log in, with two identifiers each; then 2,000 of them, "
            "evenly drawn, are seen again (`µs/event`). RSS is that of the process with all of it."
            + _EXPONENT,
            _with_exponents(list(_customers(customers))),
        ),
        Section(
            "Growth with identifiers",
            _INSIDE + "The identifiers of one customer come one after another, each beside one "
            "before it; then single events of that customer, each in transactions of its own. A "
            f"customer has at most {MAX_MEMBERS:,}: what comes beyond stays apart, and is not in "
            "the exponent." + _EXPONENT,
            _with_exponents(list(_identifiers(customers)), most=MAX_MEMBERS),
        ),
        Section(
            "Growth with events",
            _INSIDE + "Single events of one customer who has had so many, each in transactions of "
            "its own." + _EXPONENT,
            _with_exponents(list(_events(customers))),
        ),
        Section(
            "Growth with merges",
            _INSIDE + "One event says that two customers are one, who have so many identifiers "
            "together, and all that follows from it. Beyond "
            f"{MAX_MEMBERS:,} it is refused, and not in the exponent." + _EXPONENT,
            _with_exponents(list(_merges(customers)), most=MAX_MEMBERS),
        ),
    ]


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The slope of log y over log x by least squares; 0 where there is no slope to tell."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return 0.0
    return linear_regression(*zip(*logs, strict=True)).slope


def _customers(most: int) -> Iterator[Row]:
    with _stages() as (stages, folder):
        known = 0
        for size in sorted({max(most // 100, 1), max(most // 10, 1), most}):
            used = _happen(stages, (_log_in(number) for number in range(known, size)))
            made = used / (size - known)
            known = size
            again = [_seen(n) for n in range(0, size, max(size // _SAMPLE, 1))]
            yield {
                "customers": size,
                "µs to make one": made * 1e6,
                "µs/event": _happen(stages, again) / len(again) * 1e6,
                "RSS MB": round(usage(os.getpid()).rss_bytes / 1e6),
                "disk MB": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6,
            }


def _identifiers(most: int) -> Iterator[Row]:
    for size in _within(_PER_CUSTOMER, most):
        with _stages() as (stages, _):
            used = _happen(stages, _growing("g", size))
            events = [an_event("page", _nth("g", n % size)) for n in range(_ALONE)]
            yield {
                "identifiers": size,
                "µs to add one": used / size * 1e6,
                "µs/event": _alone(stages, events),
                "largest record B": max(stages.largest_bytes.values()),
            }


def _events(most: int) -> Iterator[Row]:
    with _stages() as (stages, _):
        known = 0
        for size in _within(_EVENTS, most):
            _happen(stages, (_seen(0) for _ in range(known, size)))
            yield {
                "events": size,
                "µs/event": _alone(stages, [_seen(0) for _ in range(_ALONE)]),
                "largest record B": max(stages.largest_bytes.values()),
            }
            known = size + _ALONE


def _merges(most: int) -> Iterator[Row]:
    for size in _within(_MERGED, most):
        with _stages() as (stages, _):
            half = size // 2
            _happen(stages, [*_growing("l", half), *_growing("r", half)])
            moved = stages.sent[ASSIGNMENTS.name]
            joining = an_event("identify", _nth("l", half - 1), _nth("r", half - 1))
            yield {
                "identifiers": size,
                "ms/merge": _happen(stages, [joining]) * 1e3,
                "moved": stages.sent[ASSIGNMENTS.name] - moved,
                "largest record B": max(stages.largest_bytes.values()),
            }


def _with_exponents(rows: list[Row], *, most: float = math.inf) -> list[Row]:
    """*rows*, and one with the exponent of each column in the first, up to *most* of that."""
    first, *others = rows[0]
    within = [row for row in rows if float(row[first]) <= most]
    points = {name: [(float(row[first]), float(row[name])) for row in within] for name in others}
    slopes = {name: exponent(points[name]) for name in others if name not in _UNCOUNTED}
    return [*rows, {first: "exponent", **slopes}]


def _happen(stages: Inside, events: Iterable[Event]) -> float:
    """CPU seconds."""
    coming, used = iter(events), 0.0
    while chunk := list(islice(coming, _CHUNK)):
        used += stages.happen(chunk)
    return used


def _alone(stages: Inside, events: Sequence[Event]) -> float:
    """µs of each, which nobody shares a transaction with."""
    return sum(_happen(stages, [event]) for event in events) / len(events) * 1e6


def _within(sizes: Sequence[int], most: int) -> list[int]:
    return [size for size in sizes if size <= most]


@contextmanager
def _stages() -> Iterator[tuple[Inside, Path]]:
    with TemporaryDirectory(prefix="customeros-benchmarks-") as folder:
        stages = Inside(Path(folder))
        yield stages, Path(folder)
        stages.close()


def _growing(group: str, size: int) -> Iterator[Event]:
    yield an_event("page", _nth(group, 0))
    for number in range(1, size):
        yield an_event("identify", _nth(group, number), _nth(group, number // _FANOUT))


def _nth(group: str, number: int) -> Identifier:
    return Identifier("anonymous_id", f"{group}-{number}")


def _log_in(number: int) -> Event:
    return an_event("identify", Identifier("user_id", f"u-{number}"), _nth("u", number))


def _seen(number: int) -> Event:
    return an_event("track", Identifier("user_id", f"u-{number}"))


def _lines(name: str, section: str, question: str, x: str, *values: str, unit: str) -> Plot:
    return Plot(
        name=f"growth-{name}",
        section=section,
        question=question,
        kind=Kind.LINES,
        x=x,
        values=values,
        unit=unit,
        log="xy",
    )


MEASUREMENT: Final = Measurement(
    "growth",
    lambda run: measure_growth(customers=run.sizes.customers),
    usual=Sizes(customers=1_000_000),
    quick=Sizes(customers=200),
    plots=(
        _lines(
            "customers",
            "Growth with customers",
            "What does an event cost when there are many customers?",
            "customers",
            "µs to make one",
            "µs/event",
            unit="CPU µs per event",
        ),
        _lines(
            "memory",
            "Growth with customers",
            "What do many customers take?",
            "customers",
            "RSS MB",
            "disk MB",
            unit="MB",
        ),
        _lines(
            "identifiers",
            "Growth with identifiers",
            "What does an event cost when its customer has many identifiers?",
            "identifiers",
            "µs to add one",
            "µs/event",
            unit="CPU µs per event",
        ),
        _lines(
            "events",
            "Growth with events",
            "What does an event cost when its customer has had many?",
            "events",
            "µs/event",
            unit="CPU µs per event",
        ),
        _lines(
            "merges",
            "Growth with merges",
            "What does it cost to make two customers one?",
            "identifiers",
            "ms/merge",
            unit="CPU ms per merge",
        ),
    ),
)
