"""The lag of a stage counts records that are committed and unread, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from confluent_kafka import Producer, TopicPartition

from customeros.ops.lag import stage_lags
from customeros.ops.stages import STAGES
from customeros.runtime.clients import consumer
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.topics import ensure_topics
from customeros.schemas.topics import EVIDENCE, all_topics
from support.ports import free_port
from support.waiting import until

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("transactions", [1, 3])
def test_only_committed_unread_records_count(
    kafka_bootstrap: str, unique: str, transactions: int
) -> None:
    """Neither the markers that end transactions, several in a row, nor what was aborted."""
    settings = Settings(kafka=Kafka(bootstrap=kafka_bootstrap, topic_prefix=unique, partitions=1))
    ensure_topics(settings, all_topics(STAGES))
    assert not any(_lags(settings).values())

    for _ in range(transactions):
        _write(settings, [b"1", b"2"], commit=True)
    assert _lags(settings)["graph"] == 2 * transactions

    last_read = 3 * transactions - 1  # each transaction takes three offsets, its marker's the last
    _commit(settings, "graph", last_read)
    assert _lags(settings)["graph"] == 0

    _write(settings, [b"given up"] * 3, commit=False)
    _write(settings, [b"given up"], commit=False)
    assert _lags(settings)["graph"] == 0
    assert _lags(settings)["resolve"] == 0


def test_without_a_broker_there_is_no_lag_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("customeros.ops.spans.ANSWER_SECONDS", 0.5)

    with pytest.raises(Unavailable):
        stage_lags(Settings(kafka=Kafka(port=free_port())))


def _lags(settings: Settings) -> Mapping[str, int]:
    """Once the broker knows the topics, a moment after it has made them."""
    return until(lambda: stage_lags(settings), what="the broker tells the offsets")


def _write(settings: Settings, values: Iterable[bytes], *, commit: bool) -> None:
    producer = Producer(
        {**settings.kafka_client, "transactional.id": f"{settings.kafka.topic_prefix}w"}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in values:
        producer.produce(settings.kafka.topic_prefix + EVIDENCE.name, value)
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def _commit(settings: Settings, group: str, offset: int) -> None:
    member = consumer(settings, group)
    try:
        name = settings.kafka.topic_prefix + EVIDENCE.name
        member.commit(offsets=[TopicPartition(name, 0, offset)], asynchronous=False)
    finally:
        member.close()
