"""How does one broker of Apache Kafka run on a laptop? In KRaft mode, on loopback alone."""

from __future__ import annotations

import base64
import os
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from customeros.runtime.begun import begin_with, broker_folder
from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import LOOPBACK, Settings
from customeros.runtime.stack.jars import kafka_classpath
from customeros.runtime.stack.java import find_java
from customeros.runtime.stack.ports import free_port, ports_of

# A stack that was down over a long holiday goes on where it stopped, so offsets are kept 10 years
# (Kafka's 7 days count while the broker is down as well). Minutes.
_OFFSETS_RETENTION_MINUTES = 10 * 365 * 24 * 60


def server_properties(settings: Settings, *, controller_port: int) -> dict[str, str]:
    """The broker's configuration; one node, so every internal topic has one replica."""
    listen = f"PLAINTEXT://{LOOPBACK}:{settings.kafka.port}"
    controller = f"{LOOPBACK}:{controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listen},CONTROLLER://{controller}",
        "advertised.listeners": listen,
        "log.dirs": str(data_folder(settings)),
        "auto.create.topics.enable": "false",
        "num.partitions": str(settings.kafka.partitions),
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "offsets.retention.minutes": str(_OFFSETS_RETENTION_MINUTES),
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # After a kill -9 the broker may register again only when its predecessor's session ends:
        # in 3 s, not in 9 s. It talks to a controller in its own process, so no network is slow.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        # Kafka's 128 MB are for servers; this still compacts a million keys in one pass.
        "log.cleaner.dedupe.buffer.size": str(32 << 20),
    }


def log_properties(settings: Settings) -> dict[str, str]:
    """log4j2: everything to a bounded file, what needs attention to the console as well."""
    pattern = "%d{ISO8601} %p %m (%c{1})%n"
    file = settings.home.absolute() / "logs" / "kafka-server.log"
    return {
        "status": "error",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": str(file),
        "appender.file.filePattern": f"{file}.%i",
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": pattern,
        "appender.file.policy.type": "SizeBasedTriggeringPolicy",
        "appender.file.policy.size": "10MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": "2",
        "appender.console.type": "Console",
        "appender.console.name": "console",
        "appender.console.layout.type": "PatternLayout",
        "appender.console.layout.pattern": pattern,
        "rootLogger.level": "info",
        "rootLogger.appenderRef.file.ref": "file",
        "rootLogger.appenderRef.console.ref": "console",
        "rootLogger.appenderRef.console.level": "warn",
        # While it waits for that session it would say 20 times a second that it is not there.
        "logger.client.name": "org.apache.kafka.clients.NetworkClient",
        "logger.client.level": "error",
    }


def render_properties(values: Mapping[str, str]) -> str:
    """As Java's `Properties` reads it; a backslash in a value is escaped."""
    return "".join(
        f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in values.items()
    )


def data_folder(settings: Settings) -> Path:
    """Where the broker keeps its records."""
    return broker_folder(settings.home)


def kafka_command(settings: Settings, classpath: list[Path], java: Path) -> list[str]:
    """The broker's command line; the files that it names are written by `prepare`."""
    return [
        *_java(java, classpath, settings),
        # It begins small and gives back what a peak took: by itself it takes all that it may.
        "-Xms64m",
        f"-Xmx{settings.kafka.heap_mb}m",
        "-XX:MinHeapFreeRatio=20",
        "-XX:MaxHeapFreeRatio=40",
        "kafka.Kafka",
        str(_config(settings) / "server.properties"),
    ]


def format_storage(settings: Settings, classpath: list[Path], java: Path) -> None:
    """
    Give the data folder its cluster id, once; harmless when it has one.

    Raises:
        Misconfigured: the folder cannot be formatted; Kafka's own words are in the text.
    """
    if (data_folder(settings) / "meta.properties").exists():
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
    done = subprocess.run(
        [
            *_java(java, classpath, settings),
            "kafka.tools.StorageTool",
            *("format", "--ignore-formatted", "-t", cluster),
            *("-c", str(_config(settings) / "server.properties")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise Misconfigured(f"Kafka could not format {data_folder(settings)}: {said}")


def prepare(settings: Settings) -> list[str]:
    """
    Bring everything that a broker of this home needs; the command line that runs it.

    Raises:
        Misconfigured: no Java, no jars, or a data folder that cannot be used.
    """
    classpath, java = kafka_classpath(), find_java()
    config = _config(settings)
    if not data_folder(settings).exists():
        settings.home.mkdir(parents=True, exist_ok=True)
        begin_with(settings.home, settings.kafka.partitions)
    for folder in (config, data_folder(settings), settings.home / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    # The controller is nobody's business but the broker's own, so any free port will do; voters
    # are known by id, the port may differ at every start.
    server = server_properties(settings, controller_port=free_port(ports_of(settings)))
    (config / "server.properties").write_text(render_properties(server))
    (config / "log4j2.properties").write_text(render_properties(log_properties(settings)))
    format_storage(settings, classpath, java)
    return kafka_command(settings, classpath, java)


def run_kafka(settings: Settings) -> NoReturn:
    """Become the broker."""
    command = prepare(settings)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def kafka_answers(host: str, port: int, *, seconds: float = 1.0) -> bool:
    """Whether a broker there is in service."""
    return bool(brokers_in_service(host, port, seconds=seconds))


def brokers_in_service(host: str, port: int, *, seconds: float) -> int | None:
    """How many the broker there knows of; 0: it is fenced itself; None: it does not answer."""
    # Metadata v1 of no topics: api key 3, version 1, correlation 1, no client id, empty array.
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                brokers: int = struct.unpack(">iii", answer.read(12))[2]
    except (OSError, struct.error):
        return None
    return brokers


def _config(settings: Settings) -> Path:
    return settings.home.absolute() / "kafka"


def _java(java: Path, classpath: list[Path], settings: Settings) -> list[str]:
    return [
        str(java),
        "-XX:+UseSerialGC",
        # The optimising compiler took as much of two cores as all the broker's work, for minutes;
        # what it makes of 150,000 events is not faster by as much as that.
        "-XX:TieredStopAtLevel=1",
        "-Djava.net.preferIPv4Stack=true",
        f"-Dlog4j2.configurationFile={_config(settings) / 'log4j2.properties'}",
        "-cp",
        ":".join(map(str, classpath)),
    ]
