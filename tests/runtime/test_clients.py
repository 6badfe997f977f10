"""The defaults of Kafka clients hold against a real broker."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from customeros.runtime.clients import consumer, group_id, producer
from customeros.runtime.partitioner import partition_of
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import EVIDENCE
from support.partitions import add_partitions


def test_groups_of_two_prefixes_share_no_offsets() -> None:
    blue, green = (Settings(kafka=Kafka(topic_prefix=p)) for p in ("blue.", "green."))

    assert group_id(blue, "resolve") != group_id(green, "resolve")


@pytest.mark.integration
def test_a_key_goes_where_the_partitioner_says_and_open_transactions_stay_unread(
    kafka_bootstrap: str, unique: str
) -> None:
    """Among the partitions that are configured, also where somebody has added some."""
    settings = Settings(kafka=Kafka(bootstrap=kafka_bootstrap, topic_prefix=unique, partitions=3))
    ensure_topics(settings, [EVIDENCE])
    add_partitions(settings, [EVIDENCE], 8)
    topic = prefixed(settings, EVIDENCE)
    keys = [b"default/%d" % number for number in range(20)]
    writer = producer(settings)
    for key in keys:
        writer.produce(topic, b"committed", key)
    assert writer.flush(30) == 0
    unfinished = producer(settings, **{"transactional.id": f"{unique}open"})
    unfinished.init_transactions(30)
    unfinished.begin_transaction()
    for key in keys:
        unfinished.produce(topic, b"open", key)
    unfinished.flush(30)

    reader = consumer(settings, None, **{"enable.partition.eof": True})
    reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(8)])
    found: dict[bytes, int] = {}
    ended = 0
    while ended < 8:
        message = reader.poll(30)
        assert message is not None
        if message.error():
            ended += 1
        else:
            assert message.value() == b"committed"
            found[message.key() or b""] = message.partition() or 0
    reader.close()
    unfinished.abort_transaction(30)

    assert found == {key: partition_of(key, 3) for key in keys}
