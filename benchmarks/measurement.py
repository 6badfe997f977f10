"""What is a measurement? A function from one run to sections, its sizes and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import NamedTuple

from benchmarks.plots import Plot
from benchmarks.report import Section, median_of
from benchmarks.rig import Servers, running_servers


class Sizes(NamedTuple):
    """
    How much of what; each measurement says which of them count for it, and its own usual ones.

    Args:
        seconds: of each load.
        rate: sustainable events/s, if it is known; 0: the measurement finds it first.
        only: engines, all if empty.
    """

    events: int = 100_000
    seconds: float = 30.0
    identifiers: int = 100_000
    customers: int = 1_000_000
    rate: float = 0.0
    only: tuple[str, ...] = ()


class Run(NamedTuple):
    """
    One run of a measurement.

    Args:
        number: from 1; names what the run creates on servers that other runs used.
        servers: the Kafka and ClickHouse of all runs, started when first asked for.
    """

    number: int
    sizes: Sizes
    servers: Callable[[], Servers]


class Measurement(NamedTuple):
    """
    One name of `python -m benchmarks`.

    Args:
        usual: sizes that mean something.
        quick: sizes that only make sure that all of it runs.
        plots: pictures of its sections.
        apart: only when it is named; `all` leaves it out.
    """

    name: str
    measure: Callable[[Run], Sequence[Section]]
    usual: Sizes = Sizes()
    quick: Sizes = Sizes(events=500, seconds=1, identifiers=500, customers=500)
    plots: tuple[Plot, ...] = ()
    apart: bool = False

    def medians(self, sizes: Sizes, *, runs: int) -> list[Section]:
        """Run it so often on servers of its own."""
        with _servers() as servers:
            return median_of(
                [self.measure(Run(number, sizes, servers)) for number in range(1, runs + 1)]
            )


@contextmanager
def _servers() -> Iterator[Callable[[], Servers]]:
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(running_servers()))
