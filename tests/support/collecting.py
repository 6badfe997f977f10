"""A collector to send to: with a publisher that remembers, or a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from customeros.connectors.collector import Collector, build_collector
from customeros.connectors.outbox import Record
from customeros.connectors.publisher import Publisher
from customeros.connectors.room import Allowance
from customeros.connectors.segment.body import read_batch, read_call
from customeros.connectors.segment.calls import Envelope, Interpreter, Outcome
from customeros.connectors.server import server_config
from customeros.runtime.clients import consumer
from customeros.runtime.config import Config, Source, Workspace
from customeros.runtime.settings import LOOPBACK, Kafka, Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import DEAD_LETTER, EVENT
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import Event
from customeros.schemas.identifier import DEFAULT_RULES, IdentifierRules
from customeros.schemas.topics import DEAD_LETTERS, EVENTS, Topic
from support.ports import free_port
from support.servers import answers, process
from support.waiting import until

WRITE_KEY = "WRITEKEY"
WORKSPACE_KEY = b"a workspace key of the tests, 32"
# 21 November 2026, 23:20 UTC: minutes after the SDKs were recorded.
NOW = 1_795_303_200_000


class RememberingPublisher:
    """Takes everything at once; `failure` is raised instead while it is set."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failure: Exception | None = None
        self.ready = True
        self.congested = False

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def publish(self, records: Sequence[Record]) -> None:
        if self.failure is not None:
            raise self.failure
        self.records += records

    @property
    def events(self) -> list[Event]:
        return [EVENT.decode(r.value) for r in self.records if r.topic.startswith("events.")]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [DEAD_LETTER.decode(r.value) for r in self.records if r.topic == "dead-letters"]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def a_config(*, default_currency: str | None = None) -> Config:
    source = Source("default", "demo", (WRITE_KEY,), default_currency=default_currency)
    return Config({"default": Workspace("default", sources={"demo": source})})


def a_collector(
    publisher: Publisher, *, allowance: Allowance | None = None, config: Config | None = None
) -> Collector:
    return build_collector(
        config or a_config(),
        Settings(),
        lambda _workspace: WORKSPACE_KEY,
        publisher,
        allowance=allowance or Allowance(64 * 1024 * 1024),
        clock=lambda: NOW,
    )


def an_interpreter(
    *, rules: IdentifierRules = DEFAULT_RULES, default_currency: str | None = None
) -> Interpreter:
    return Interpreter(
        workspace="default",
        source="demo",
        rules=rules,
        workspace_key=WORKSPACE_KEY,
        default_currency=default_currency,
    )


def outcomes_of(
    body: bytes, kind: str | None = None, *, interpreter: Interpreter | None = None
) -> list[Outcome]:
    """What becomes of the calls of one body; `kind` is what the path says."""
    batch = read_batch(body) if kind is None else read_call(body)
    envelope = Envelope("request", NOW, batch.sent_at, batch.context)
    interpreter = interpreter or an_interpreter()
    return [
        interpreter.interpret(call, envelope, kind=kind, index=index)
        for index, call in enumerate(batch.calls)
    ]


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """The port of the application, served as in production but from a thread."""
    listening = socket.create_server((LOOPBACK, 0))
    server = uvicorn.Server(server_config(app))

    def run() -> None:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listening]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), what="the server starts")
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
) -> Reply:
    """One request on a connection of its own, its headers in this order and with nothing added."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        named = {name.lower() for name, _ in pairs}
        if "host" not in named:
            pairs.insert(0, ("Host", f"{LOOPBACK}:{port}"))
        if body is not None and not named & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        for name, value in pairs:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


class CollectorProcess(NamedTuple):
    """A collector like in production; its write key is `WRITE_KEY`."""

    url: str
    port: int
    pid: int
    log: Path


_MAIN = """
import sys
from customeros.connectors.collector import run_collector
from customeros.runtime.logs import configure_logs
from customeros.runtime.settings import read_settings
settings = read_settings()
configure_logs(settings.logs, process="collector")
sys.exit(run_collector(settings))
"""


@contextmanager
def collector_process(
    home: Path, bootstrap: str, prefix: str, env: Mapping[str, str] | None = None
) -> Iterator[CollectorProcess]:
    """Run it against a broker, wherever that is; returns when it listens."""
    port = free_port()
    log = home / "collector.log"
    environment = {
        "CUSTOMEROS_HOME": str(home),
        "CUSTOMEROS_KAFKA__BOOTSTRAP": bootstrap,
        "CUSTOMEROS_KAFKA__TOPIC_PREFIX": prefix,
        "CUSTOMEROS_COLLECTOR__PORT": str(port),
        "CUSTOMEROS_SECRETS__WRITE_KEY": WRITE_KEY,
        "PYTHONPATH": os.pathsep.join(sys.path),
        **(env or {}),
    }
    with process([sys.executable, "-c", _MAIN], env=environment, log=log) as child:
        url = f"http://{LOOPBACK}:{port}"

        def up() -> bool:
            assert child.poll() is None, f"the collector ended: {log.read_text()}"
            return answers(f"{url}/healthz")

        until(up, what="the collector listens")
        yield CollectorProcess(url, port, child.pid, log)


def in_thread(work: Callable[[], None]) -> threading.Thread:
    """`work` on its way, in a thread that does not keep the process alive."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


COLLECTOR_TOPICS = (*EVENTS.values(), DEAD_LETTERS)


def kafka_settings(bootstrap: str, prefix: str) -> Settings:
    return Settings(kafka=Kafka(bootstrap=bootstrap, topic_prefix=prefix))


def wait_ready(collector: CollectorProcess) -> None:
    """Until it has found its broker."""
    until(
        lambda: ask(collector.port, "GET", "/readyz").status == 200,
        seconds=120,
        what=f"the collector is ready; its log is {collector.log}",
    )


def values_on(settings: Settings, *topics: Topic) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of everything that is on the topics now."""
    reader = consumer(settings, None, **{"enable.partition.eof": True})
    parts = [
        TopicPartition(prefixed(settings, topic), number, OFFSET_BEGINNING)
        for topic in topics
        for number in range(settings.kafka.partitions)
    ]
    reader.assign(parts)
    try:
        unread = len(parts)
        while unread:
            message = reader.poll(30)
            assert message is not None
            error, key, value = message.error(), message.key(), message.value()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                unread -= 1
            elif key is not None and value is not None:
                yield key, value
    finally:
        reader.close()


def events_on(settings: Settings) -> list[tuple[bytes, Event]]:
    """Key and value of every event on its topic."""
    found = values_on(settings, *EVENTS.values())
    return [(key, EVENT.decode(value)) for key, value in found]
