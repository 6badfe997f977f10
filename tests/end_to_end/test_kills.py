"""Every process is killed once while events come in, and nothing is lost or counted twice."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from typing import cast

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from customeros.connectors.tracking import TrackingClient
from customeros.ops.lag import stage_lags
from customeros.runtime.errors import Unavailable
from customeros.runtime.stack.ports import port_taken
from support.shoppers import History, a_history
from support.waiting import until
from support.whole_stack import WholeStack, fresh_settings, whole_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

SEED = 20261122
# The collector is not killed here: its clients retry, and its own tests kill its broker.
VICTIMS = ("resolve", "graph", "state", "sink-clickhouse", "clickhouse", "api", "kafka")
_ARRIVAL_SECONDS = 600


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    with whole_stack(fresh_settings(tmp_path_factory.mktemp("home"))) as running:
        yield running


def test_killing_every_process_once_loses_and_doubles_nothing(stack: WholeStack) -> None:
    """20,000 events and duplicates, shuffled; `kill -9` at random moments; all sums exact."""
    history = a_history(SEED, shoppers=1_000, events_each=20)

    _send_while_killing(stack, history)
    until(
        lambda: _arrived(stack, history.distinct),
        seconds=_ARRIVAL_SECONDS,
        every=0.5,
        what="every event is in ClickHouse and folded",
    )

    restarted = stack.restarts()
    assert all(restarted[name] >= 1 for name in VICTIMS)
    ids = "SELECT count(), uniqExact(event_id) FROM events"
    assert stack.query(ids) == [(history.distinct, history.distinct)]
    assert _found_shoppers(stack) == _expected_shoppers(history)
    assert stack.query("SELECT count() FROM dead_letters") == [(0,)]


def test_a_killed_supervisor_leaves_no_orphan_and_its_data(stack: WholeStack) -> None:
    """The ports are free at once, and the next start goes on with what was there."""
    settings = stack.settings
    ports = (
        settings.kafka.port,
        settings.clickhouse.port,
        settings.collector.port,
        settings.api.port,
    )
    before = stack.query("SELECT count() FROM events")
    digest = stack.run("identity", "digest").stdout

    os.kill(stack.supervisor_pid, signal.SIGKILL)
    until(lambda: not any(map(port_taken, ports)), what="all ports are free")

    with whole_stack(settings) as again:
        assert again.query("SELECT count() FROM events") == before
        assert again.run("identity", "digest").stdout == digest
        assert len(digest.split()[-1]) == 64


def _send_while_killing(stack: WholeStack, history: History) -> None:
    chance = random.Random(SEED)
    calls = history.calls
    moments = sorted(chance.sample(range(len(calls) // 20, len(calls)), len(VICTIMS)))
    doomed = chance.sample(VICTIMS, len(VICTIMS))
    killers = []
    # The broker's and the engine's absence is part of the exercise: the client waits it out.
    with TrackingClient(
        stack.collector_url, stack.write_key, batch_calls=100, patience_seconds=300
    ) as client:
        for number, call in enumerate(calls):
            client.send(call)
            if moments and number >= moments[0]:
                moments.pop(0)
                # Not before it is up, which the sending need not wait for.
                killer = threading.Thread(target=_kill, args=(stack, doomed.pop()))
                killer.start()
                killers.append(killer)
    for killer in killers:
        killer.join()


def _kill(stack: WholeStack, name: str) -> None:
    until(lambda: stack.kill(name), seconds=240, what=f"{name} is up to be killed")


def _arrived(stack: WholeStack, events: int) -> bool:
    try:
        counted = stack.query(
            "SELECT (SELECT count() FROM events), (SELECT sum(events) FROM customers)"
        )
        return counted == [(events, events)] and not any(stage_lags(stack.settings).values())
    except (ClickHouseError, Unavailable):
        return False  # the engine or the broker is on its way up


def _expected_shoppers(history: History) -> set[tuple[object, ...]]:
    return {(tuple(s.identifiers), s.events, s.orders, s.cents) for s in history.shoppers}


def _found_shoppers(stack: WholeStack) -> set[tuple[object, ...]]:
    rows = stack.query(
        """
        SELECT arraySort(groupArray(concat(i.type, ':', i.value))), any(c.events), any(c.orders),
               any(c.placed['EUR'])
        FROM identifiers AS i INNER JOIN customers AS c USING (workspace, customer_id)
        GROUP BY customer_id
        """
    )
    return {(tuple(cast("list[str]", ids)), *rest) for ids, *rest in rows}
