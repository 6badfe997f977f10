"""Whether records wait for a group is what the broker says, transactions' markers aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from customeros.runtime.backlog import Backlog
from customeros.runtime.clients import consumer, producer
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import EVIDENCE
from support.ports import free_port
from support.waiting import until


@pytest.mark.integration
def test_what_is_committed_waits_no_more(kafka_bootstrap: str, unique: str, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, kafka=Kafka(bootstrap=kafka_bootstrap, topic_prefix=unique, partitions=2)
    )
    ensure_topics(settings, [EVIDENCE])
    name = prefixed(settings, EVIDENCE)
    places = [(name, 0), (name, 1)]
    backlog = Backlog(settings, "graph")
    until(lambda: [backlog.waits(places)], what="the group has a coordinator")

    assert not backlog.waits([])
    assert not backlog.waits(places)

    writer = producer(settings, **{"transactional.id": f"{unique}writer"})
    writer.init_transactions(30)
    writer.begin_transaction()
    writer.produce(name, b"value", b"key", 1)
    assert writer.flush(30) == 0
    assert not backlog.waits(places), "nobody may read it yet"
    writer.commit_transaction(30)

    assert backlog.waits(places)
    assert not backlog.waits([(name, 0)]), "not of this partition"
    member = consumer(settings, "graph")
    member.commit(offsets=[TopicPartition(name, 1, 1)], asynchronous=False)
    member.close()
    assert not backlog.waits(places), "the marker is no record"


def test_a_broker_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka=Kafka(bootstrap=f"127.0.0.1:{free_port()}"))
    with pytest.raises(Unavailable):
        Backlog(settings, "graph").waits([("anything", 0)])
