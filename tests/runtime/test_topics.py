"""Topics are created as the table says, and refused when they differ."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from customeros.runtime.clients import admin, group_id, producer
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.topics import check_topics, ensure_topics, find_topics, prefixed
from customeros.schemas.event import Family
from customeros.schemas.topics import ASSIGNMENTS, DEAD_LETTERS, EVENTS, EVIDENCE, changelog
from support.partitions import add_partitions
from support.ports import free_port
from support.waiting import until


@pytest.fixture
def settings(kafka_bootstrap: str, unique: str) -> Settings:
    return Settings(kafka=Kafka(bootstrap=kafka_bootstrap, topic_prefix=unique, partitions=3))


def test_a_topics_name_has_the_prefix() -> None:
    assert prefixed(Settings(kafka=Kafka(topic_prefix="blue.")), EVIDENCE) == (
        "blue.identity.evidence"
    )


def test_only_what_is_derived_is_named_after_its_generation() -> None:
    """Events and dead letters are one log, whichever generation reads it."""
    first, second = (Settings(kafka=Kafka(topic_prefix="blue."), generation=n) for n in (1, 2))

    assert prefixed(first, EVIDENCE) == "blue.identity.evidence"
    assert prefixed(second, EVIDENCE) == "blue.g2.identity.evidence"
    assert prefixed(second, changelog("state")) == "blue.g2.state-changelog"
    for topic in (*EVENTS.values(), DEAD_LETTERS):
        assert prefixed(second, topic) == prefixed(first, topic)


def test_generations_share_no_group_no_store_and_no_database() -> None:
    first, second = (Settings(generation=n) for n in (1, 2))

    assert (group_id(first, "state"), group_id(second, "state")) == ("state", "g2.state")
    assert (first.prefix, second.prefix) == ("", "g2.")
    assert (first.database, second.database) == ("customeros", "customeros_g2")


@pytest.mark.integration
def test_events_stay_as_long_as_is_said_also_in_topics_that_are_there(settings: Settings) -> None:
    """And what nothing is said of stays as somebody has set it."""
    orders, days = EVENTS[Family.TRANSACTIONAL], 86_400_000

    def kept(settings: Settings) -> int:
        ensure_topics(settings, [orders])
        return find_topics(settings, [orders])[orders].retention_ms

    def said(value: int | None) -> Settings:
        kafka = settings.kafka.model_copy(update={"events_days": value})
        return settings.model_copy(update={"kafka": kafka})

    assert kept(said(None)) == 30 * days
    assert kept(said(400)) == 400 * days
    assert kept(said(None)) == 400 * days
    assert kept(said(0)) == -1


@pytest.mark.integration
def test_missing_topics_are_created_and_a_second_time_changes_nothing(settings: Settings) -> None:
    ensure_topics(settings, [EVIDENCE, ASSIGNMENTS])
    ids = {topic: found.id for topic, found in check_topics(settings, [EVIDENCE]).items()}

    ensure_topics(settings, [EVIDENCE, ASSIGNMENTS, DEAD_LETTERS])

    found = check_topics(settings, [EVIDENCE, ASSIGNMENTS, DEAD_LETTERS])
    assert {topic: (f.partitions, f.cleanup) for topic, f in found.items()} == {
        EVIDENCE: (3, "delete"),
        ASSIGNMENTS: (3, "compact"),
        DEAD_LETTERS: (3, "delete"),
    }
    assert found[EVIDENCE].id == ids[EVIDENCE]


@pytest.mark.integration
def test_a_topic_that_differs_is_named_with_what_was_found_and_expected(
    settings: Settings,
) -> None:
    name = prefixed(settings, ASSIGNMENTS)
    client = admin(settings)
    new = NewTopic(name, num_partitions=2, replication_factor=1)
    client.create_topics([new])[name].result(30)
    until(lambda: find_topics(settings, [ASSIGNMENTS]), what="the topic is known")

    with pytest.raises(Misconfigured) as refused:
        ensure_topics(settings, [ASSIGNMENTS])

    assert "identity.assignments has 2 partitions, expected 3" in str(refused.value)
    assert "cleanup.policy=delete, expected compact" in str(refused.value)


@pytest.mark.integration
def test_added_partitions_are_told_of_and_no_harm(settings: Settings) -> None:
    """With what somebody else has written there, which nobody reads."""
    orders = EVENTS[Family.TRANSACTIONAL]
    ensure_topics(settings, [orders, ASSIGNMENTS])
    add_partitions(settings, [orders, ASSIGNMENTS], 5)
    somebody = Producer(settings.kafka_client)
    somebody.produce(prefixed(settings, orders), b"an event", partition=4)
    assert somebody.flush(30) == 0

    with capture_logs() as told:
        found = check_topics(settings, [orders, ASSIGNMENTS])

    assert {topic: there.partitions for topic, there in found.items()} == {
        orders: 5,
        ASSIGNMENTS: 5,
    }
    assert {e["topic"]: (e["event"], e["found"], e["used"], e["unread"]) for e in told} == {
        orders.name: ("partitions_not_used", 5, 3, 1),
        ASSIGNMENTS.name: ("partitions_not_used", 5, 3, 0),
    }


@pytest.mark.integration
def test_a_number_that_is_smaller_than_that_of_the_topics_in_use_is_refused(
    settings: Settings,
) -> None:
    """Keys would be looked for where they are not: as with added partitions, but these are used."""
    ensure_topics(settings, [ASSIGNMENTS])
    writer = producer(settings)
    for number in range(20):
        writer.produce(prefixed(settings, ASSIGNMENTS), b"value", b"%d" % number)
    assert writer.flush(30) == 0
    fewer = settings.kafka.model_copy(update={"partitions": 2})

    with pytest.raises(
        Misconfigured, match=r"identity\.assignments has 3 partitions, with records"
    ):
        check_topics(settings.model_copy(update={"kafka": fewer}), [ASSIGNMENTS])


@pytest.mark.integration
def test_a_missing_topic_is_named_with_the_remedy(settings: Settings) -> None:
    with pytest.raises(Misconfigured, match=r"identity\.evidence is missing: run `customeros"):
        check_topics(settings, [EVIDENCE])


def test_a_broker_that_is_away_is_unavailable_not_misconfigured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("customeros.runtime.topics._REQUEST_SECONDS", 1.0)
    nobody = Settings(kafka=Kafka(bootstrap=f"127.0.0.1:{free_port()}"))

    with pytest.raises(Unavailable):
        check_topics(nobody, [EVIDENCE])
