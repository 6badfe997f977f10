"""Do what no operator should: add partitions to topics that are in use."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka.admin import NewPartitions

from customeros.runtime.clients import admin
from customeros.runtime.settings import Settings
from customeros.runtime.topics import find_topics, prefixed
from customeros.schemas.topics import Topic
from support.waiting import until


def add_partitions(settings: Settings, topics: Iterable[Topic], number: int) -> None:
    """Let *topics* have *number* partitions; returns when the broker says so."""
    altered, client = tuple(topics), admin(settings)
    wanted = [NewPartitions(prefixed(settings, topic), number) for topic in altered]
    for answer in client.create_partitions(wanted).values():
        answer.result(30)
    until(
        lambda: all(t.partitions == number for t in find_topics(settings, altered).values()),
        what="the partitions are there",
    )
