"""Whatever is killed or away, each record counts once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from customeros.schemas.customer import CustomerState, Metrics
from customeros.schemas.event import Event
from customeros.schemas.identity import Assignment
from support.ports import free_port
from support.servers import embedded_clickhouse
from support.sink import NOON, SinkStack, an_event, sink_settings
from support.waiting import until

pytestmark = pytest.mark.integration

PEOPLE = 200
BATCHES = 12
EVENTS_PER_BATCH = 500


def a_batch(number: int, chance: random.Random) -> list[tuple[Event, str]]:
    """Events of a few people, each with the customer that its identifier has by itself."""
    events = []
    for index in range(number * EVENTS_PER_BATCH, (number + 1) * EVENTS_PER_BATCH):
        person = chance.randrange(PEOPLE)
        event = an_event(
            index,
            identifier_keys=(f"nid-{person}",),
            occurred_at=NOON + chance.randrange(90) * 86_400_000,
        )
        events.append((event, f"c-{person}"))
    return events


def assert_exact(stack: SinkStack, sent: list[tuple[Event, str]], owner: dict[str, str]) -> None:
    """Per customer the events that were sent, each once, in the view and behind it."""
    expected = Counter(owner.get(customer_id, customer_id) for _, customer_id in sent)

    found = stack.ask(
        "SELECT customer_id, count(), uniqExact(event_id) FROM events GROUP BY ALL ORDER BY 1"
    )

    assert found == sorted((c, n, n) for c, n in expected.items())
    assert stack.ask("SELECT sum(events), count() FROM customers") == [(sum(range(PEOPLE)), PEOPLE)]
    assert stack.ask("SELECT count() FROM dead_letters") == [(0,)]


def test_kills_and_replays_leave_each_record_once(stack: SinkStack) -> None:
    """
    Two sinks, one killed again and again while records arrive; then all is replayed by one with
    other batch sizes, twice.
    """
    chance = random.Random(7)
    sent: list[tuple[Event, str]] = []
    owner = {f"c-{n}": "c-0" for n in range(5)}
    with ExitStack() as sinks:
        sinks.enter_context(stack.process(CUSTOMEROS_CLICKHOUSE__BATCH_ROWS="700"))
        victim = sinks.enter_context(stack.process(CUSTOMEROS_CLICKHOUSE__BATCH_ROWS="300"))
        stack.until_rows("SELECT count() >= 0 FROM events", [(True,)], seconds=120)
        for number in range(BATCHES):
            batch = a_batch(number, chance)
            for event, customer_id in batch:
                stack.send_event(event, customer_id)
            sent += batch
            if number == 3:
                stack.send(*(an_assignment(n) for n in range(5)))
                stack.send(*(a_state(n) for n in range(PEOPLE)))
            stack.flush()
            if number % 3 == 2:
                goal = chance.randrange(len(sent) - 2 * EVENTS_PER_BATCH, len(sent))
                reached = f"SELECT count() >= {goal} FROM events"  # noqa: S608  (ours)
                stack.until_rows(reached, [(True,)], seconds=120)
                victim.kill()
                victim.wait()
                victim = sinks.enter_context(stack.process(CUSTOMEROS_CLICKHOUSE__BATCH_ROWS="300"))
        stack.until_done(seconds=180)
    assert_exact(stack, sent, owner)

    for rows, seconds in (("777", "0.01"), ("10000", "1")):
        stack.rewind()
        settings = {"BATCH_ROWS": rows, "FLUSH_SECONDS": seconds}
        environment = {f"CUSTOMEROS_CLICKHOUSE__{name}": value for name, value in settings.items()}
        with stack.process(**environment):
            stack.until_done(seconds=120)
        assert_exact(stack, sent, owner)


def an_assignment(number: int) -> Assignment:
    return Assignment(
        workspace="shop",
        key=f"nid-{number}",
        type="user_id",
        customer_id="c-0",
        version=NOON,
        epoch=0,
        cause="e",
    )


def a_state(number: int) -> CustomerState:
    return CustomerState(
        workspace="shop", customer_id=f"c-{number}", version=NOON, metrics=Metrics(events=number)
    )


def test_a_process_that_is_told_to_end_inserts_what_it_took(stack: SinkStack) -> None:
    with stack.process(CUSTOMEROS_CLICKHOUSE__FLUSH_SECONDS="60") as sink:
        stack.until_rows("SELECT count() FROM events", [(0,)], seconds=120)
        stack.send(an_event(1))
        sink.terminate()

        assert sink.wait(60) == 0
    with stack.sink():
        stack.until_rows("SELECT event_id FROM events", [("e1",)])
        stack.until_done()


@contextmanager
def clickhouse_gone(
    bootstrap: str, unique: str, folder: Path
) -> Iterator[tuple[SinkStack, Callable[[], object]]]:
    """A sink whose ClickHouse goes after the first event, and what brings it back."""
    home, port = folder / "clickhouse", free_port()
    stack = SinkStack(sink_settings(bootstrap, f"http://127.0.0.1:{port}", unique), folder)
    with ExitStack() as engine:

        def bring_back() -> None:
            engine.enter_context(embedded_clickhouse(home, port=port))

        bring_back()
        with stack.sink():
            stack.send(an_event(1))
            stack.until_rows("SELECT event_id FROM events", [("e1",)])
            engine.close()
            yield stack, bring_back


def test_clickhouse_away_is_waited_for(kafka_bootstrap: str, unique: str, tmp_path: Path) -> None:
    """Events sent meanwhile are there when it is back, and nothing was given up on."""
    with clickhouse_gone(kafka_bootstrap, unique, tmp_path) as (stack, bring_back):
        before = times_away()
        stack.send(*(an_event(n) for n in range(2, 50)))
        until(lambda: times_away() > before + 1, what="the sink tried more than once")
        stack.send(*(an_event(n) for n in range(50, 100)))

        bring_back()
        stack.until_rows("SELECT count(), uniqExact(event_id) FROM events", [(99, 99)])
        stack.until_done()
        assert stack.count("dead_letters") == 0


def test_what_changes_hands_while_clickhouse_is_away_is_read_when_it_comes_back(
    kafka_bootstrap: str, unique: str, tmp_path: Path
) -> None:
    """A partition that was let go when another member took it is fetched again."""
    with clickhouse_gone(kafka_bootstrap, unique, tmp_path) as (stack, bring_back):
        before = times_away()
        for number in range(2, 50):
            stack.send_event(an_event(number), f"c-{number}")
        stack.flush()
        until(lambda: times_away() > before, what="the sink found it away")

        with stack.another_member() as its_partitions:
            until(lambda: its_partitions() > 0, what="it has partitions", seconds=60)
            bring_back()
            stack.until_rows("SELECT count() > 1 FROM events", [(True,)])

        stack.until_rows("SELECT count(), uniqExact(event_id) FROM events", [(49, 49)])
        stack.until_done()


def times_away() -> float:
    """How often this process's sinks found ClickHouse away."""
    labels = {"stage": "sink", "dependency": "clickhouse"}
    return REGISTRY.get_sample_value("customeros_dependency_unavailable_total", labels) or 0
