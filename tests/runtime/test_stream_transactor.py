"""What a broker says to a transaction, and what the transactor makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import ItemsView
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.record.memory_records import MemoryRecords
from confluent_kafka import TopicPartition

from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.stream.fold import Sealed
from customeros.runtime.stream.transactor import Lost, Transactor
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import changelog

pytestmark = pytest.mark.integration

LOG = changelog("counting")


class EndedByAnother(dict[bytes, bytes | None]):
    """Writes whose transaction the broker ends once they are at the broker, without being asked."""

    def __init__(self, bootstrap: str, transactional_id: str, place: TopicPartition) -> None:
        super().__init__({b"key": b"value"})
        self._asked = (bootstrap, transactional_id, place)

    def items(self) -> Any:
        yield from ItemsView(self)
        asyncio.run(_abort(*self._asked))


async def _abort(bootstrap: str, transactional_id: str, place: TopicPartition) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        node = client.cluster.leader_for_partition(place) or client.get_random_node()
        producer_id, epoch = await _writer(client, node, place)
        answer = await client.send(node, EndTxnRequest(transactional_id, producer_id, epoch, False))
        assert answer.error_code == 0
    finally:
        await client.close()


async def _writer(client: AIOKafkaClient, node: int, place: TopicPartition) -> tuple[int, int]:
    """Producer id and epoch of the first batch, as soon as there is one."""
    asked = FetchRequest(5_000, 1, 1 << 20, 0, [(place.topic, [(place.partition, 0, 1 << 20)])])
    while True:
        answer = await client.send(node, asked)
        batch = MemoryRecords(answer.topics[0][1][0][-1]).next_batch()
        if batch is not None:
            return batch.producer_id, batch.producer_epoch


def test_a_transaction_that_the_broker_does_not_know_any_more_is_lost_and_the_next_one_is_not(
    kafka_bootstrap: str, unique: str
) -> None:
    settings = Settings(kafka=Kafka(bootstrap=kafka_bootstrap, topic_prefix=unique, partitions=1))
    ensure_topics(settings, [LOG])
    place = TopicPartition(prefixed(settings, LOG), 0)
    name = f"{unique}counting-0"

    with pytest.raises(Lost):
        Transactor(settings, name, place).commit(
            Sealed((), EndedByAnother(kafka_bootstrap, name, place))
        )

    assert Transactor(settings, name, place).commit(Sealed((), {b"key": b"value"})) > 0
