"""The collector on a real broker: 200 only for what the broker has, and it comes back by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from customeros.connectors.publisher import KafkaPublisher
from customeros.connectors.room import Allowance
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import LOOPBACK, Settings
from customeros.runtime.topics import ensure_topics
from customeros.schemas.codec import DEAD_LETTER
from customeros.schemas.topics import DEAD_LETTERS, topic_key
from support.collecting import (
    COLLECTOR_TOPICS,
    CollectorProcess,
    Reply,
    ask,
    collector_process,
    events_on,
    in_thread,
    kafka_settings,
    values_on,
    wait_ready,
)
from support.ports import free_port
from support.servers import embedded_kafka
from support.waiting import until

pytestmark = pytest.mark.integration

_AUTH = {"Authorization": "Basic V1JJVEVLRVk6"}


def _body(*ids: str, filler: str = "") -> bytes:
    calls = [
        {
            "type": "track",
            "event": "Tested",
            "userId": f"u-{message}",
            "messageId": message,
            "properties": {"a": filler},
        }
        for message in ids
    ]
    return json.dumps({"batch": calls}).encode()


def _post(collector: CollectorProcess, body: bytes) -> Reply:
    return ask(collector.port, "POST", "/v1/batch", body, _AUTH)


@pytest.fixture
def settings(kafka_bootstrap: str, unique: str) -> Settings:
    settings = kafka_settings(kafka_bootstrap, unique)
    ensure_topics(settings, COLLECTOR_TOPICS)
    return settings


@pytest.fixture
def collector(settings: Settings, tmp_path: Path) -> Iterator[CollectorProcess]:
    with collector_process(tmp_path, settings.bootstrap, settings.kafka.topic_prefix) as running:
        wait_ready(running)
        yield running


def test_what_is_answered_200_is_on_its_topic_under_its_primary_identifier(
    collector: CollectorProcess, settings: Settings
) -> None:
    calls: list[dict[str, Any]] = [
        {"type": "identify", "userId": "u1", "messageId": "1", "traits": {"a": 1}},
        {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "2"},
        {"type": "track", "event": "Message Sent", "userId": "u1", "messageId": "3"},
        {"type": "track", "event": "Product Shared", "userId": "u1", "messageId": "4"},
        {"type": "page", "userId": "u1", "messageId": "5"},
        {"type": "nonsense", "messageId": "6"},
    ]

    reply = _post(collector, json.dumps({"batch": calls}).encode())
    found = events_on(settings)
    letters = list(values_on(settings, DEAD_LETTERS))

    assert reply.status == 200
    assert sorted((event.event_id, event.family.value) for _, event in found) == [
        ("1", "demographic"),
        ("2", "transactional"),
        ("3", "conversational"),
        ("4", "social"),
        ("5", "behavioral"),
    ]
    for key, event in found:
        assert key == topic_key("default", event.identifier_keys[0])
    assert [key for key, _ in letters] == [b"default/demo"]
    assert DEAD_LETTER.decode(letters[0][1]).reason == "unknown_type"


def test_an_event_has_the_same_key_after_a_restart(settings: Settings, tmp_path: Path) -> None:
    """So that one sent again lands in the same partition, where it is known."""
    for _ in range(2):
        with collector_process(
            tmp_path, settings.bootstrap, settings.kafka.topic_prefix
        ) as running:
            wait_ready(running)
            assert _post(running, _body("1")).status == 200

    (first, one), (second, two) = events_on(settings)
    assert first == second
    assert one.event_id == two.event_id == "1"


def test_a_collector_told_to_end_answers_what_is_under_way(
    collector: CollectorProcess, settings: Settings
) -> None:
    """Whoever is answered 200 until the end has its events on the broker."""
    answered: list[str] = []

    def send() -> None:
        for number in range(2_000):
            try:
                if _post(collector, _body(str(number))).status == 200:
                    answered.append(str(number))
            except OSError:
                return

    sending = in_thread(send)
    until(lambda: len(answered) > 50)
    os.kill(collector.pid, signal.SIGTERM)
    sending.join(60)

    assert not sending.is_alive()
    assert {event.event_id for _, event in events_on(settings)} >= set(answered)


def test_a_broker_killed_is_answered_503_at_once_and_found_again_when_it_is_back(
    tmp_path: Path, unique: str
) -> None:
    """Nothing that was answered 200 is missing afterwards."""
    home, port = tmp_path / "kafka", free_port()
    settings = kafka_settings(f"{LOOPBACK}:{port}", unique)
    answered: list[str] = []
    # So long that nobody would wait for it twenty times, or once.
    env = {"CUSTOMEROS_COLLECTOR__ACK_SECONDS": "300"}
    with collector_process(tmp_path, settings.bootstrap, unique, env) as collector:
        assert _post(collector, _body("early")).status == 503

        with embedded_kafka(home, port=port) as (_, pid):
            ensure_topics(settings, COLLECTOR_TOPICS)
            wait_ready(collector)
            for number in range(20):
                assert _post(collector, _body(f"before-{number}")).status == 200
                answered.append(f"before-{number}")
            os.kill(pid, signal.SIGKILL)
            until(lambda: _post(collector, _body("during")).status == 503)

            replies = [_post(collector, _body(f"during-{number}")) for number in range(20)]

            assert {reply.status for reply in replies} == {503}
            assert {reply.headers["retry-after"] for reply in replies} == {"1"}

        with embedded_kafka(home, port=port):
            wait_ready(collector)
            assert _post(collector, _body("after")).status == 200
            answered.append("after")
            found = {event.event_id for _, event in events_on(settings)}

    assert found >= set(answered)
    assert not any(name.startswith("during-") for name in found)


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A broker that may be stopped: where it listens, and its pid."""
    with embedded_kafka(tmp_path_factory.mktemp("own-kafka")) as found:
        yield found


def test_a_broker_that_hangs_is_answered_503_within_the_deadline_and_then_at_once(
    own_kafka: tuple[str, int], tmp_path: Path, unique: str
) -> None:
    bootstrap, pid = own_kafka
    ensure_topics(kafka_settings(bootstrap, unique), COLLECTOR_TOPICS)
    env = {"CUSTOMEROS_COLLECTOR__ACK_SECONDS": "1"}
    with collector_process(tmp_path, bootstrap, unique, env) as collector:
        wait_ready(collector)
        assert _post(collector, _body("before")).status == 200
        os.kill(pid, signal.SIGSTOP)
        try:
            assert _post(collector, _body("during-1")).status == 503
            assert ask(collector.port, "GET", "/readyz").status == 503
        finally:
            os.kill(pid, signal.SIGCONT)

        wait_ready(collector)
        assert _post(collector, _body("after")).status == 200


def test_overload_is_answered_429_and_memory_stays_bounded(
    own_kafka: tuple[str, int], tmp_path: Path, unique: str
) -> None:
    """While the broker hangs, what is under way grows to its limit and no further."""
    bootstrap, pid = own_kafka
    ensure_topics(kafka_settings(bootstrap, unique), COLLECTOR_TOPICS)
    env = {"CUSTOMEROS_COLLECTOR__MAX_INFLIGHT_MB": "4", "CUSTOMEROS_COLLECTOR__ACK_SECONDS": "20"}
    body = _body(*(str(number) for number in range(16)), filler="x" * 25_000)
    statuses: list[int] = []
    with collector_process(tmp_path, bootstrap, unique, env) as collector:
        wait_ready(collector)
        assert _post(collector, body).status == 200
        before = _resident_mb(collector.pid)
        os.kill(pid, signal.SIGSTOP)
        try:
            sending = [
                in_thread(lambda: statuses.append(_post(collector, body).status)) for _ in range(60)
            ]
            until(lambda: statuses.count(429) >= 40, what="most are refused")
            grown = _resident_mb(collector.pid) - before
        finally:
            os.kill(pid, signal.SIGCONT)
        for thread in sending:
            thread.join(60)

        assert set(statuses) <= {200, 429, 503}
        assert grown < 64
        wait_ready(collector)
        until(lambda: _post(collector, body).status == 200, what="there is room again")


def _resident_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def test_missing_topics_are_said_once_and_the_collector_is_not_ready(
    kafka_bootstrap: str, unique: str, tmp_path: Path
) -> None:
    with collector_process(tmp_path, kafka_bootstrap, unique) as collector:
        until(lambda: "topics_missing" in collector.log.read_text())
        assert ask(collector.port, "GET", "/readyz").status == 503

        ensure_topics(kafka_settings(kafka_bootstrap, unique), COLLECTOR_TOPICS)
        wait_ready(collector)

        assert collector.log.read_text().count("topics_missing") == 1


def test_a_publisher_without_a_broker_refuses_at_once() -> None:
    async def scenario() -> None:
        publisher = KafkaPublisher(kafka_settings(f"{LOOPBACK}:{free_port()}", ""), Allowance(1000))
        await publisher.start()
        with pytest.raises(Unavailable):
            await publisher.publish([])
        await publisher.close()

    asyncio.run(scenario())
