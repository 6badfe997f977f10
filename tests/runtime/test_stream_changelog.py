"""A store goes on where it stopped, unless what it missed can no longer be known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.stream.changelog import end_offsets, start_offset
from customeros.runtime.stream.rocks import RocksStore
from customeros.runtime.stream.store import NOWHERE, Position

PLACE = TopicPartition("counting-changelog", 2)
HOUR = 3_600_000
NOW = time.time_ns() // 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    made = RocksStore(tmp_path / "store")
    yield made
    made.close()


def test_a_new_store_reads_from_the_beginning(store: RocksStore) -> None:
    assert start_offset(store, PLACE, "id", 0, 50) == OFFSET_BEGINNING


def test_a_store_reads_on_after_its_last_record(store: RocksStore) -> None:
    store.write({b"a": b"1"}, Position(10, "id", NOW - HOUR))

    assert start_offset(store, PLACE, "id", 0, 50) == 11


def test_a_store_that_missed_a_day_is_emptied(store: RocksStore) -> None:
    """Compaction may have removed tombstones that it never saw; their keys would rise again."""
    store.write({b"a": b"1"}, Position(10, "id", NOW - 24 * HOUR))

    assert start_offset(store, PLACE, "id", 0, 50) == OFFSET_BEGINNING
    assert store.position == NOWHERE
    assert store.get_many([b"a"]) == [None]


def test_an_old_store_that_missed_nothing_is_kept(store: RocksStore) -> None:
    """All that follows its last record is that transaction's marker."""
    store.write({b"a": b"1"}, Position(10, "id", NOW - 24 * HOUR))

    assert start_offset(store, PLACE, "id", 0, 12) == 11
    assert store.get_many([b"a"]) == [b"1"]


def test_a_store_whose_next_record_is_gone_is_emptied(store: RocksStore) -> None:
    store.write({b"a": b"1"}, Position(10, "id", NOW))

    assert start_offset(store, PLACE, "id", 30, 50) == OFFSET_BEGINNING


@pytest.mark.parametrize(("topic_id", "end"), [("another id", 50), ("id", 10)])
def test_a_store_of_another_topic_or_ahead_of_it_is_refused(
    store: RocksStore, topic_id: str, end: int
) -> None:
    store.write({b"a": b"1"}, Position(10, "id", NOW))

    with pytest.raises(Misconfigured, match="delete that directory"):
        start_offset(store, PLACE, topic_id, 0, end)


@pytest.mark.integration
def test_a_broker_that_does_not_know_the_topic_yet_is_asked_again(
    kafka_bootstrap: str, unique: str
) -> None:
    """As one that has just begun: whoever asks has seen all topics before."""
    settings = Settings(kafka=Kafka(bootstrap=kafka_bootstrap))

    with pytest.raises(Unavailable):
        end_offsets(settings, [TopicPartition(f"{unique}not-yet", 0)])
