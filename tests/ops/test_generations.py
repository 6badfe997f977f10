"""Generations on the broker: which there are, what each has missed, how one goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from customeros.ops.replay.generations import drop, generations, missed, missed_sentence
from customeros.ops.spans import patiently
from customeros.ops.stages import STAGES
from customeros.runtime.clients import admin, consumer, producer
from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import ClickHouse, Kafka, Settings
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.event import Family
from customeros.schemas.topics import CUSTOMER_STATE, EVENTS, EVIDENCE, all_topics
from customeros.sinks.clickhouse.inserts import ClickHouse as Target
from support.waiting import until

pytestmark = pytest.mark.integration

ORDERS = EVENTS[Family.TRANSACTIONAL]


@pytest.fixture
def settings(
    kafka_bootstrap: str, clickhouse_url: str, clickhouse_database: str, unique: str, tmp_path: Path
) -> Settings:
    return Settings(
        home=tmp_path,
        kafka=Kafka(bootstrap=kafka_bootstrap, topic_prefix=unique, partitions=1),
        clickhouse=ClickHouse(url=clickhouse_url, database=clickhouse_database),
    )


def _lose(settings: Settings, count: int) -> None:
    """Let events happen and go, as by their retention."""
    sending, name = producer(settings), prefixed(settings, ORDERS)
    for _ in range(count):
        sending.produce(name, b"an event", b"shop/a")
    assert sending.flush(30) == 0
    client = admin(settings)
    (gone,) = client.delete_records([TopicPartition(name, 0, count)]).values()
    gone.result(30)


def _fold(settings: Settings, offset: int) -> None:
    member = consumer(settings, "resolve")
    try:
        at = TopicPartition(prefixed(settings, ORDERS), 0, offset)
        member.commit(offsets=[at], asynchronous=False)
    finally:
        member.close()


def test_what_a_generation_missed_is_what_went_before_it_was_folded(settings: Settings) -> None:
    ensure_topics(settings, all_topics(STAGES))
    assert patiently(lambda: missed(settings.of(2))) == 0
    _fold(settings, 5)
    _lose(settings, 7)

    assert missed(settings) == 2
    assert missed(settings.of(2)) == 7
    told = missed_sentence(settings.of(2), 7)
    assert told.startswith("7 events are gone from the log that generation 2 would need")
    assert "CUSTOMEROS_KAFKA__EVENTS_DAYS" in told


def test_a_dropped_generation_leaves_nothing_and_takes_nothing_along(settings: Settings) -> None:
    second = settings.of(2)
    for each in (settings, second):
        ensure_topics(each, all_topics(STAGES))
        Target(each).close()
        (settings.home / "state" / f"{each.prefix}graph" / "0").mkdir(parents=True)
    _fold(second, 1)
    assert generations(settings) == [1, 2]

    for _ in range(2):
        drop(second)

    assert generations(settings) == [1]
    names = admin(settings).list_topics(timeout=10).topics
    assert prefixed(second, CUSTOMER_STATE) not in names
    assert {prefixed(settings, EVIDENCE), prefixed(settings, ORDERS)} <= names.keys()
    kept = sorted(path.name for path in (settings.home / "state").iterdir())
    assert kept == [f"{settings.prefix}graph"]


def test_a_generation_with_workers_is_not_dropped(settings: Settings) -> None:
    """Nothing of it is gone then."""
    second = settings.of(2)
    ensure_topics(second, all_topics(STAGES))
    worker = consumer(second, "resolve")
    try:
        worker.subscribe([prefixed(second, ORDERS)])
        until(lambda: worker.poll(0.1) or worker.assignment(), seconds=60, what="it has joined")

        with pytest.raises(Misconfigured, match="still has workers: stop"):
            drop(second)
    finally:
        worker.close()

    assert generations(settings) == [2]
