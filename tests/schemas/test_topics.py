"""The table of topics holds together."""

from __future__ import annotations

import re

from customeros.schemas.codec import released_schemas
from customeros.schemas.event import Family
from customeros.schemas.topics import EVENTS, TOPICS, Cleanup, all_topics, changelog, topic_key


def test_each_topic_is_listed_once_under_a_name_that_kafka_takes() -> None:
    names = [topic.name for topic in all_topics(["resolve", "graph", "state"])]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z.-]{1,100}", name) for name in names)


def test_every_family_has_a_topic() -> None:
    assert set(EVENTS) == set(Family)
    assert set(EVENTS.values()) <= set(TOPICS)


def test_every_schema_named_was_released() -> None:
    released = {schema.name for schema in released_schemas().values()}

    assert {topic.schema for topic in TOPICS if topic.schema} <= released


def test_what_is_not_compacted_has_a_retention() -> None:
    for topic in TOPICS:
        assert (topic.retention_ms is None) == (topic.cleanup is Cleanup.COMPACT), topic
        assert topic.config["cleanup.policy"] == topic.cleanup
        assert "None" not in topic.config.values()


def test_a_changelog_is_compacted() -> None:
    assert changelog("state").cleanup is Cleanup.COMPACT


def test_a_key_starts_with_its_workspace() -> None:
    assert topic_key("shop", "ky3x") == b"shop/ky3x"
