"""The official SDKs, unchanged, against a collector on a real broker."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from segment.analytics.client import Client

from customeros.connectors.outbox import Record
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import LOOPBACK, Settings
from customeros.runtime.topics import ensure_topics
from customeros.schemas.event import Event, Money
from support.collecting import (
    COLLECTOR_TOPICS,
    WRITE_KEY,
    CollectorProcess,
    RememberingPublisher,
    a_collector,
    collector_process,
    events_on,
    in_thread,
    kafka_settings,
    serving,
    wait_ready,
)
from support.waiting import until

pytestmark = pytest.mark.integration

_SDK = Path(__file__).parent / "sdk"
_BROWSER_SDK = _SDK / "node_modules/@segment/analytics-next/dist/umd/index.js"
_CHROMIUM = "/usr/bin/chromium"


@pytest.fixture
def settings(kafka_bootstrap: str, unique: str) -> Settings:
    settings = kafka_settings(kafka_bootstrap, unique)
    ensure_topics(settings, COLLECTOR_TOPICS)
    return settings


@pytest.fixture
def collector(settings: Settings, tmp_path: Path) -> Iterator[CollectorProcess]:
    with collector_process(tmp_path, settings.bootstrap, settings.kafka.topic_prefix) as running:
        wait_ready(running)
        yield running


def _need(*files: str | Path) -> None:
    missing = [str(file) for file in files if not shutil.which(file) and not Path(file).exists()]
    if missing:
        sentence = f"{', '.join(missing)}: tests/install-browser brings what is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)


def _node(script: str, *arguments: str) -> None:
    """Run one session to its end; what it prints is shown when it fails."""
    subprocess.run(
        ["node", script, *arguments],
        cwd=_SDK,
        check=True,
        timeout=300,
        env={**os.environ, "NODE_NO_WARNINGS": "1"},
    )


def _names(event: Event) -> list[str]:
    assert event.personal is not None
    return [str(identifier) for identifier in event.personal.identifiers]


def _by_name(settings: Settings) -> dict[str, Event]:
    return {event.name: event for _, event in events_on(settings)}


@pytest.mark.parametrize("packed", [False, True])
def test_the_python_sdk_delivers(
    collector: CollectorProcess, settings: Settings, packed: bool
) -> None:
    """NaN included, which its encoder writes though JSON has none."""
    failures: list[Exception] = []
    client = Client(
        WRITE_KEY,
        host=collector.url,
        gzip=packed,
        on_error=lambda error, _items: failures.append(error),
    )
    client.identify("python-1", {"email": "Python@Example.com"})
    client.track(
        "python-1",
        "Order Completed",
        {"order_id": "p1", "total": 0.3, "currency": "EUR", "weight": float("nan")},
    )
    client.page("python-1", "Docs", "Ingestion")
    client.screen("python-1", "Home", "Main")
    client.group("python-1", "acct-9", {"name": "AE"})
    client.alias("python-old", "python-1")
    client.flush()
    client.join()

    found = _by_name(settings)

    assert failures == []
    assert len(found) == 6
    assert _names(found["Identified"]) == ["user_id:python-1", "email:python@example.com"]
    assert _names(found["Aliased"]) == ["user_id:python-1", "anonymous_id:python-old"]
    order = found["Order Completed"]
    assert order.order is not None
    assert order.order.total == Money(30, "EUR")
    assert order.personal is not None
    assert json.loads(order.personal.properties)["weight"] is None


def test_the_python_sdk_tries_again_and_nothing_is_lost() -> None:
    """While the broker is away it is told 503, and it comes back."""
    refused: list[int] = []

    class Counting(RememberingPublisher):
        async def publish(self, records: Sequence[Record]) -> None:
            if not refused:
                refused.append(len(records))
                raise Unavailable("kafka")
            await super().publish(records)

    publisher = Counting()
    with serving(a_collector(publisher)) as port:
        client = Client(WRITE_KEY, host=f"http://{LOOPBACK}:{port}")
        client.track("python-1", "Tested", message_id="m1")
        client.flush()
        client.join()

    assert refused == [1]
    assert [event.event_id for event in publisher.events] == ["m1"]


def test_the_node_sdk_delivers(collector: CollectorProcess, settings: Settings) -> None:
    """Half a surrogate pair included, which JavaScript strings may end in."""
    _need("node", _SDK / "node_modules")

    _node("node_session.mjs", collector.url, WRITE_KEY)
    found = _by_name(settings)

    assert len(found) == 7
    assert _names(found["Identified"]) == [
        "user_id:node-1",
        "email:node@example.com",
        "anonymous_id:node-anon",
    ]
    order = found["Order Completed"]
    assert order.order is not None
    assert order.order.total == Money(30, "EUR")
    assert order.occurred_at == 1_714_979_289_123
    assert "Cut \ufffd" in found


@pytest.mark.parametrize("strategy", ["standard", "batching"])
def test_the_browser_sdk_delivers_from_another_origin(
    collector: CollectorProcess, settings: Settings, tmp_path: Path, strategy: str
) -> None:
    """It loads its settings from the collector, asks whether it may send, and sends."""
    _need("node", _CHROMIUM, _SDK / "node_modules")
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(_BROWSER_SDK, site / "analytics.js")
    (site / "index.html").write_text('<title>Shop</title><script src="analytics.js"></script>')

    with _Site(site) as url:
        _node("browser_session.mjs", url, collector.url, WRITE_KEY, strategy, f"{tmp_path}/profile")

    until(lambda: len(events_on(settings)) >= 5, what="all five calls are there")
    found = _by_name(settings)

    assert sorted(found) == [
        "Group Joined",
        "Identified",
        "Order Completed",
        "Page Viewed",
        "Product Viewed",
    ]
    assert _names(found["Identified"])[:2] == ["user_id:browser-1", "email:browser@example.com"]
    order = found["Order Completed"]
    assert order.order is not None
    assert order.order.total == Money(30, "EUR")
    page = found["Page Viewed"].personal
    assert page is not None
    assert json.loads(page.properties)["title"] == "Shop"
    assert json.loads(page.context)["userAgentData"]["brands"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Site:
    """A folder as a web site of its own origin."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer((LOOPBACK, 0), handler)

    def __enter__(self) -> str:
        self._thread = in_thread(self._server.serve_forever)
        return f"http://localhost:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
