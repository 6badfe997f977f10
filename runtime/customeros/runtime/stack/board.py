"""Show one line per process: kept current on a terminal, a line per change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from customeros.runtime.stack.runfile import ProcessState

_STYLES = {"ready": "green", "failed": "red", "restarting": "yellow"}


@contextmanager
def board(names: Sequence[str]) -> Iterator[Callable[[tuple[ProcessState, ...]], None]]:
    """A function that shows the state of all processes; `names` are shown as waiting at first."""
    if not sys.stdout.isatty():
        yield _printer()
        return
    waiting = tuple(ProcessState(name, "waiting") for name in names)
    # Drawn by the caller's thread alone, so that a fork finds no other.
    with Live(_table(waiting), console=Console(), auto_refresh=False) as live:
        yield lambda processes: live.update(_table(processes), refresh=True)


def line(process: ProcessState) -> str:
    """`kafka        ready      127.0.0.1:9092  pid 4711`, with restarts if there were any."""
    facts = [f"{process.name:<12} {process.state:<10}"]
    if process.port:
        facts.append(f"port {process.port}")
    if process.pid:
        facts.append(f"pid {process.pid}")
    if process.restarts:
        facts.append(f"restarts {process.restarts}")
    return " ".join(facts).rstrip()


def _printer() -> Callable[[tuple[ProcessState, ...]], None]:
    shown: dict[str, str] = {}

    def show(processes: tuple[ProcessState, ...]) -> None:
        for process in processes:
            if shown.get(process.name) != process.state and process.state != "waiting":
                print(line(process), flush=True)
            shown[process.name] = process.state

    return show


def _table(processes: Sequence[ProcessState]) -> Table:
    table = Table.grid(padding=(0, 2))
    for process in processes:
        table.add_row(
            process.name,
            f"[{_STYLES.get(process.state, 'dim')}]{process.state}[/]",
            f"port {process.port}" if process.port else "",
            f"pid {process.pid}" if process.pid else "",
            f"restarts {process.restarts}" if process.restarts else "",
        )
    return table
