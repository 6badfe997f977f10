"""Run the demo: a stack of its own, real events through the tracking API, and the check."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.table import Table

from customeros.connectors.tracking import TrackingClient
from customeros.ops import laptop
from customeros.ops.ask import fetch_customer
from customeros.ops.customer_view import customer_view
from customeros.ops.demo.checks import best_customer, differences, stored_counts, stored_totals
from customeros.ops.demo.datasets import (
    CDNOW_CURRENCY,
    Totals,
    chat_calls,
    expected_totals,
    purchase_call,
    purchases,
    recorded_requests,
)
from customeros.ops.demo.story import READER, story
from customeros.ops.lag import stage_lags
from customeros.ops.state_tables import amount_text
from customeros.runtime.clickhouse import connect
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings, read_settings
from customeros.runtime.stack import supervisor
from customeros.runtime.stack.ports import free_port

# Beside the user's own stack, which the demo does not touch.
DEMO_HOME: Final = Path(".customeros-demo")
_STORY: Final = "a reader's story"
_MARK: Final = "made-by-customeros-demo"
_PATIENCE_SECONDS: Final = 240.0
_POLL_SECONDS: Final = 0.25
_LOOK_SECONDS: Final = 0.01
_ANSWER_SECONDS: Final = 30.0

_console: Final = Console(highlight=False)


def run_demo(settings: Settings, examples: str) -> int:
    """
    Start, send, wait, show, check, stop; 0 when ClickHouse agrees with the file.

    Raises:
        Misconfigured: the example data are not there, or the folder is somebody else's.
    """
    folder = Path(examples)
    if not (folder / "sdk_sessions").is_dir():
        raise Misconfigured(
            f"{folder.absolute()} has no example data: run it in a checkout, or name the folder "
            "with --examples"
        )
    # Told to stop, the demo stops its stack as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    own = _own_stack(settings)
    if code := laptop.up(own, detach=True):
        return code
    try:
        return _tell(own, folder)
    finally:
        supervisor.down(own)


def _own_stack(settings: Settings) -> Settings:
    """A fresh home and free ports, told to the children and to this process alike."""
    home = DEMO_HOME.absolute()
    if home.exists():
        if not (home / _MARK).exists():
            raise Misconfigured(f"{home} was not made by the demo: move it away")
        before = settings.model_copy(update={"home": home})
        if supervisor.status(before).running:
            supervisor.down(before)
        shutil.rmtree(home)
    home.mkdir()
    (home / _MARK).touch()
    for name in [name for name in os.environ if name.startswith("CUSTOMEROS_")]:
        del os.environ[name]
    os.environ["CUSTOMEROS_HOME"] = str(home)
    os.environ["CUSTOMEROS_CONFIG"] = str(home / "customeros.toml")
    (home / "customeros.toml").write_text(_CONFIG)
    for system in ("KAFKA", "CLICKHOUSE", "COLLECTOR", "API"):
        os.environ[f"CUSTOMEROS_{system}__PORT"] = str(free_port())
    return read_settings()


_CONFIG: Final = """\
[workspaces.default]
default_currency = "EUR"

[workspaces.default.sources.demo]
"""


def _tell(settings: Settings, examples: Path) -> int:
    *told, last = story(datetime.now(UTC))
    began = time.monotonic()
    accepted = _send_all(settings, examples, told)
    sent_after = time.monotonic() - began
    with connect(settings, settings.clickhouse.database) as client:
        total = sum(accepted.values())
        _wait_until_arrived(settings, client, total)
        arrived_after = time.monotonic() - began
        freshness = _follow(settings, client, last)
        accepted[_STORY] += 1
        _wait_until_arrived(settings, client, total + 1)
        counts = stored_counts(client)
        expected, found = expected_totals(examples), stored_totals(client)
    _console.rule("What happened")
    _console.print(_stages(accepted, counts))
    _console.print(
        f"{total:,} events accepted in {sent_after:.1f} s, all in ClickHouse and folded after "
        f"{arrived_after:.1f} s: {total / arrived_after:,.0f} events/s end to end"
    )
    _console.print(f"freshness at rest, from the request to ClickHouse: {freshness:.2f} s")
    best = best_customer(expected)
    for title, who in (
        ("A reader of a small bookshop", READER),
        ("The best customer of CDNOW", f"user_id:{best}"),
    ):
        _console.rule(f"{title}: customeros customer show {who}")
        _console.print(customer_view(fetch_customer(settings, who)))
    return _verdict(expected, found, counts, sum(accepted.values()))


def _send_all(
    settings: Settings, examples: Path, told: Iterable[Mapping[str, Any]]
) -> dict[str, int]:
    """Distinct events that the collector accepted, by where they come from."""
    write_key = read_secrets(settings).write_key
    sets: tuple[tuple[str, Iterable[Mapping[str, Any]]], ...] = (
        ("CDNOW purchases", map(purchase_call, purchases(examples))),
        ("chat messages", chat_calls(examples)),
        (_STORY, told),
    )
    accepted = {}
    for name, calls in sets:
        with _tracking(settings) as client:
            client.send_all(calls)
        accepted[name] = client.acknowledged
        _console.print(f"sent {client.acknowledged:,}: {name}")
    sent, distinct = _replay(settings, write_key, examples)
    accepted["recorded SDK sessions"] = distinct
    _console.print(f"sent {sent}: recorded SDK sessions, {sent - distinct} of them retries")
    return accepted


def _follow(settings: Settings, client: Client, call: Mapping[str, Any]) -> float:
    """Send one call and see it arrive; seconds from the request to its row in ClickHouse."""
    began = time.monotonic()
    with _tracking(settings) as sender:
        sender.send(call)
    query = "SELECT count() FROM events_log WHERE event_id = {event_id:String}"
    parameters = {"event_id": call["messageId"]}
    while client.query(query, parameters=parameters).result_rows != [(1,)]:
        if time.monotonic() - began > _PATIENCE_SECONDS:
            raise Unavailable("a stage")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def _tracking(settings: Settings) -> TrackingClient:
    url = f"http://{settings.collector.host}:{settings.collector.port}"
    return TrackingClient(url, read_secrets(settings).write_key)


def _replay(settings: Settings, write_key: str, examples: Path) -> tuple[int, int]:
    """Send what the SDKs sent; (events, distinct message ids)."""
    ids: list[str] = []
    connection = http.client.HTTPConnection(
        settings.collector.host, settings.collector.port, timeout=_ANSWER_SECONDS
    )
    for request in recorded_requests(examples, write_key):
        connection.request("POST", request.path, request.body, request.headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise Unavailable(f"the collector ({answer.status} to a recorded request)")
        ids.extend(request.message_ids)
    connection.close()
    return len(ids), len(set(ids))


def _wait_until_arrived(settings: Settings, client: Client, events: int) -> None:
    """Return when every stage has read all, and ClickHouse holds and has folded every event."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with _console.status("the events are on their way"):
        while not _arrived(settings, client, events):
            if time.monotonic() > deadline:
                raise Unavailable(f"a stage (see `CUSTOMEROS_HOME={DEMO_HOME} customeros status`)")
            time.sleep(_POLL_SECONDS)


def _arrived(settings: Settings, client: Client, events: int) -> bool:
    try:
        counts = stored_counts(client)
        return counts["events"] >= events <= counts["folded"] and not any(
            stage_lags(settings).values()
        )
    except (ClickHouseError, Unavailable):
        return False


def _stages(accepted: Mapping[str, int], counts: Mapping[str, int]) -> Table:
    table = Table("stage", "count", "")
    for name, count in accepted.items():
        table.add_row("collector: accepted", f"{count:,}", name)
    table.add_row("ClickHouse: events", f"{counts['events']:,}", "each once")
    table.add_row("state: events folded", f"{counts['folded']:,}", "into customer states")
    table.add_row("state: customers", f"{counts['customers']:,}", "live")
    table.add_row("graph: identifiers", f"{counts['identifiers']:,}", "of those customers")
    table.add_row("dead letters", f"{counts['dead_letters']:,}", "`customeros dead-letters list`")
    return table


def _verdict(
    expected: Mapping[str, Totals],
    found: Mapping[str, Totals],
    counts: Mapping[str, int],
    total: int,
) -> int:
    _console.rule("The check")
    wrong = differences(expected, found)
    money = amount_text(sum(t.cents for t in expected.values()), CDNOW_CURRENCY)
    orders = sum(t.orders for t in expected.values())
    checks = (
        (
            not wrong,
            f"{len(expected):,} customers, {orders:,} orders, {money} {CDNOW_CURRENCY}: "
            f"{len(wrong)} differ from the file's own sums",
        ),
        (counts["events"] == total, f"{counts['events']:,} events of {total:,} accepted"),
        (counts["folded"] == total, f"{counts['folded']:,} events folded of {total:,} accepted"),
        (counts["dead_letters"] == 0, f"{counts['dead_letters']} dead letters"),
    )
    for right, sentence in checks:
        _console.print(
            f"[{'green' if right else 'red'}]{'right' if right else 'WRONG'}[/]  {sentence}"
        )
    return 0 if all(right for right, _ in checks) else 1
