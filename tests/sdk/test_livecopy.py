"""A live copy on a real broker: what it holds, when it is ready, what it survives."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from customeros.sdk import Change, LiveCopy, LiveCopyFailed
from support.customers import a_state, create_topic, produce, produce_transaction, state_record
from support.ports import free_port
from support.servers import embedded_kafka
from support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def topic(kafka_bootstrap: str, unique: str) -> str:
    name = f"{unique}customer-state"
    create_topic(kafka_bootstrap, name)
    return name


@pytest.fixture
def a_copy(kafka_bootstrap: str, topic: str) -> Callable[..., LiveCopy]:
    def build(store: dict[bytes, bytes] | None = None) -> LiveCopy:
        return LiveCopy(topic, {"bootstrap.servers": kafka_bootstrap}, store=store)

    return build


def record(name: str, version: int) -> tuple[bytes, bytes]:
    return state_record(a_state(name, version=version))


A1, A2, B1, B2 = record("a", 1), record("a", 2), record("b", 1), record("b", 2)


def test_an_empty_topic_is_ready(a_copy: Callable[..., LiveCopy]) -> None:
    """There is nothing to wait for."""
    with a_copy() as copy:
        assert copy.wait_ready(30)
        assert len(copy) == 0


def test_it_holds_the_newest_of_each_key(
    kafka_bootstrap: str, topic: str, a_copy: Callable[..., LiveCopy]
) -> None:
    """An older version that comes late replaces nothing; a tombstone deletes."""
    c1 = record("c", 1)
    produce(kafka_bootstrap, topic, [A2, A1, B1, c1, (c1[0], None)])
    with a_copy() as copy:
        assert copy.wait_ready(30)
        assert {key: copy.get(key) for key in copy} == dict([A2, B1])

        produce(kafka_bootstrap, topic, [B2, (A1[0], None), (B1[0], b"garbage")])
        until(lambda: copy.undecodable == 1, what="the garbage to be counted")
        until(lambda: copy.get(A1[0]) is None and copy.get(B2[0]) == B2[1])


def test_it_is_ready_behind_transaction_markers_and_aborted_records(
    kafka_bootstrap: str, topic: str, a_copy: Callable[..., LiveCopy]
) -> None:
    """Markers take offsets that no record has, and what was aborted never appears."""
    produce_transaction(kafka_bootstrap, topic, [A1], commit=True)
    produce_transaction(kafka_bootstrap, topic, [A2, B1], commit=False)
    with a_copy() as copy:
        assert copy.wait_ready(30)
        assert {key: copy.get(key) for key in copy} == dict([A1])
        asked = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": topic})
        ends = {p: asked.get_watermark_offsets(TopicPartition(topic, p))[1] for p in (0, 1)}
        asked.close()
        assert copy.positions == ends


class _Slow(dict[bytes, bytes]):
    """Takes long to write, until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.writing, self.go_on = threading.Event(), threading.Event()

    def update(self, *values: Any, **named: Any) -> None:
        self.writing.set()
        self.go_on.wait(30)
        super().update(*values, **named)


def test_nobody_who_looks_up_waits_for_what_is_written(
    kafka_bootstrap: str, topic: str, a_copy: Callable[..., LiveCopy]
) -> None:
    """The old value answers meanwhile."""
    store = _Slow()
    dict.update(store, [A1])
    produce(kafka_bootstrap, topic, [A2])
    with a_copy(store) as copy:
        assert store.writing.wait(30)
        with ThreadPoolExecutor(1) as asking:
            try:
                assert asking.submit(copy.get, A1[0]).result(10) == A1[1]
            finally:
                store.go_on.set()
        until(lambda: copy.get(A1[0]) == A2[1])


def test_changes_begin_with_what_is_there_and_go_on(
    kafka_bootstrap: str, topic: str, a_copy: Callable[..., LiveCopy]
) -> None:
    """One reader sees everything, another only what is new; both end with the copy."""
    produce(kafka_bootstrap, topic, [A1])
    with a_copy() as copy:
        assert copy.wait_ready(30)
        everything, news = copy.changes(from_start=True), copy.changes()

        produce(kafka_bootstrap, topic, [B1])
        assert list(islice(everything, 2)) == [Change(*A1), Change(*B1)]
        assert next(news) == Change(*B1)

        produce(kafka_bootstrap, topic, [(A1[0], None)])
        assert next(news) == Change(A1[0], None)
    assert list(news) == []
    assert list(everything) == [Change(A1[0], None)]


def test_changes_that_pile_up_for_a_key_are_one(
    kafka_bootstrap: str, topic: str, a_copy: Callable[..., LiveCopy]
) -> None:
    """A slow reader costs keys, not records, and always gets the newest."""
    with a_copy() as copy:
        assert copy.wait_ready(30)
        changes = copy.changes()
        produce(kafka_bootstrap, topic, [record("a", n) for n in range(1, 50)])
        until(lambda: copy.get(A1[0]) == record("a", 49)[1])

        assert next(changes) == Change(*record("a", 49))
        assert changes.next(timeout=0) is None


def test_a_store_from_before_is_brought_up_to_date(
    kafka_bootstrap: str, topic: str, a_copy: Callable[..., LiveCopy]
) -> None:
    """What the topic forgot meanwhile goes, and what is newer in the store stays."""
    gone = record("gone", 1)
    produce(kafka_bootstrap, topic, [A1, B1])
    with a_copy(dict([A2, gone])) as copy:
        assert copy.get(gone[0]) == gone[1]
        assert copy.wait_ready(30)
        assert {key: copy.get(key) for key in copy} == dict([A2, B1])


def test_it_waits_for_a_topic_that_is_made_later(kafka_bootstrap: str, unique: str) -> None:
    """An application may start before the platform."""
    name = f"{unique}later"
    with LiveCopy(name, {"bootstrap.servers": kafka_bootstrap}) as copy:
        assert not copy.wait_ready(0.3)
        create_topic(kafka_bootstrap, name)
        produce(kafka_bootstrap, name, [A1])
        assert copy.wait_ready(30)
        until(lambda: copy.get(A1[0]) == A1[1])


def test_a_topic_made_anew_is_read_anew(
    kafka_bootstrap: str, topic: str, a_copy: Callable[..., LiveCopy]
) -> None:
    """The place in the log is lost; the old copy answers until the new one is read."""
    produce(kafka_bootstrap, topic, [A1, B1, B2])
    with a_copy() as copy:
        assert copy.wait_ready(30)
        admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
        admin.delete_topics([topic])[topic].result(30)
        until(lambda: topic not in admin.list_topics(timeout=5).topics)
        assert copy.get(A1[0]) == A1[1]

        create_topic(kafka_bootstrap, topic)
        produce(kafka_bootstrap, topic, [A2])

        until(lambda: {key: copy.get(key) for key in copy} == dict([A2]), seconds=60)


def test_a_copy_that_failed_says_so(kafka_bootstrap: str, topic: str) -> None:
    """A store that cannot be written ends it; no stale answer is given in silence."""

    class Full(dict[bytes, bytes]):
        def update(self, *_: object, **__: object) -> None:
            raise OSError("disk full")

    produce(kafka_bootstrap, topic, [A1])
    with LiveCopy(topic, {"bootstrap.servers": kafka_bootstrap}, store=Full()) as copy:
        with pytest.raises(LiveCopyFailed):
            copy.wait_ready(30)
        with pytest.raises(LiveCopyFailed):
            copy.get(A1[0])
        with pytest.raises(LiveCopyFailed):
            next(copy.changes())


def test_a_copy_that_failed_is_not_ready_any_more(kafka_bootstrap: str, topic: str) -> None:
    """Whatever it had read until then."""

    class Filling(dict[bytes, bytes]):
        def update(self, *values: Any, **named: Any) -> None:
            super().update(*values, **named)
            if len(self) > 1:
                raise OSError("disk full")

    produce(kafka_bootstrap, topic, [A1])
    with LiveCopy(topic, {"bootstrap.servers": kafka_bootstrap}, store=Filling()) as copy:
        assert copy.wait_ready(30)

        produce(kafka_bootstrap, topic, [B1])

        until(lambda: copy.failure is not None, what="the copy fails")
        assert not copy.ready


def test_a_broker_that_dies_is_waited_for(tmp_path: Path) -> None:
    """Meanwhile the copy answers as it was; then it goes on by itself."""
    port = free_port()
    with ExitStack() as ending:
        with embedded_kafka(tmp_path, port=port) as (bootstrap, pid):
            create_topic(bootstrap, "customer-state")
            produce(bootstrap, "customer-state", [A1])
            copy = ending.enter_context(
                LiveCopy("customer-state", {"bootstrap.servers": bootstrap})
            )
            assert copy.wait_ready(60)
            os.kill(pid, signal.SIGKILL)

        assert copy.get(A1[0]) == A1[1]

        with embedded_kafka(tmp_path, port=port) as (bootstrap, _pid):
            produce(bootstrap, "customer-state", [A2])
            until(lambda: copy.get(A2[0]) == A2[1], seconds=60)
            assert copy.ready
