"""`customeros status`: each process, the lag of each stage, the freshness from end to end."""

from __future__ import annotations

import json
import time
from typing import Any, Final, NamedTuple

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from customeros.ops.lag import stage_lags
from customeros.runtime.clickhouse import connect
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.stack import supervisor
from customeros.schemas.topics import FIRST_GENERATION

_POLL_SECONDS: Final = 0.25
# Freshness is told over the newest events.
_NEWEST: Final = 10_000


class Freshness(NamedTuple):
    """Seconds from accepted by the collector to inserted in ClickHouse, over the newest events."""

    p50: float
    p99: float


class Picture(NamedTuple):
    """How the stack is at one moment; what cannot be asked is None."""

    stack: supervisor.Status
    lags: dict[str, int] | None
    freshness: Freshness | None

    @property
    def ready(self) -> bool:
        """Whether every process answers and every stage can be asked for its lag."""
        return self.stack.ready and self.lags is not None


def show_status(settings: Settings, *, wait_seconds: float, as_json: bool) -> int:
    """Print how the stack is, once it is ready or *wait_seconds* are over; 0 if it is ready."""
    deadline = time.monotonic() + wait_seconds
    picture = look(settings)
    while not picture.ready and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        picture = look(settings)
    if as_json:
        typer.echo(json.dumps(_facts(picture, settings)))
    else:
        _print(picture, settings)
    return 0 if picture.ready else 1


def look(settings: Settings) -> Picture:
    """How the stack is now; nothing is raised for what does not answer."""
    stack = supervisor.status(settings)
    if not stack.running and settings.kafka.bootstrap is None:
        return Picture(stack, None, None)
    try:
        lags: dict[str, int] | None = stage_lags(settings)
    except Unavailable:
        lags = None
    return Picture(stack, lags, read_freshness(settings))


def read_freshness(settings: Settings) -> Freshness | None:
    """
    Of the newest events; None: there are none, or ClickHouse does not answer.

    What was received before its table was made came by a replay or a restore, not as it happened.
    """
    query = f"""
        SELECT quantiles(0.5, 0.99)(dateDiff('millisecond', received_at, _inserted_at)), count()
        FROM (
            SELECT received_at, _inserted_at
            FROM events_log
            WHERE received_at >= (
                SELECT metadata_modification_time FROM system.tables
                WHERE database = currentDatabase() AND name = 'events_log'
            )
            ORDER BY received_at DESC LIMIT {_NEWEST}
        )
    """  # noqa: S608 - a constant
    try:
        with connect(settings, settings.database, connect_timeout=2) as client:
            ((milliseconds, count),) = client.query(query).result_rows
    except (ClickHouseError, OSError):
        return None
    return Freshness(milliseconds[0] / 1000, milliseconds[1] / 1000) if count else None


def _facts(picture: Picture, settings: Settings) -> dict[str, Any]:
    return {
        "ready": picture.ready,
        "running": picture.stack.running,
        "pid": picture.stack.pid,
        "generation": settings.build,
        "processes": [
            {
                "name": health.process.name,
                "state": health.process.state,
                "healthy": health.healthy,
                "trouble": health.trouble or None,
                "pid": health.process.pid,
                "port": health.process.port,
                "restarts": health.process.restarts,
            }
            for health in picture.stack.processes
        ],
        "lag": picture.lags,
        "freshness_seconds": picture.freshness and picture.freshness._asdict(),
    }


def _print(picture: Picture, settings: Settings) -> None:
    console = Console()
    if not picture.stack.running:
        console.print(f"nothing runs in {settings.home.absolute()}: start it with `customeros up`")
        return
    table = Table("process", "state", "health", "pid", "port", "restarts", "lag")
    for health in picture.stack.processes:
        process = health.process
        lag = (picture.lags or {}).get(process.name)
        table.add_row(
            process.name,
            process.state,
            "[green]at work[/]" if health.healthy else f"[red]{escape(health.trouble)}[/]",
            str(process.pid or ""),
            str(process.port or ""),
            str(process.restarts or ""),
            "" if lag is None else f"{lag:,}",
        )
    console.print(table)
    if settings.build != FIRST_GENERATION:
        console.print(f"generation {settings.build} is in force")
    if picture.freshness:
        p50, p99 = picture.freshness
        console.print(f"accepted → in ClickHouse, newest events: p50 {p50:.2f} s, p99 {p99:.2f} s")
    console.print("ready" if picture.ready else "[red]not ready[/]")
