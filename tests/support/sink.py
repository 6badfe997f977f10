"""A sink of one test: topics and a database of its own, records to send, rows to ask for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from customeros.runtime import clients
from customeros.runtime.progress import Progress
from customeros.runtime.settings import ClickHouse as ClickHouseSettings
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.account import AccountState
from customeros.schemas.codec import (
    ACCOUNT_STATE,
    ASSIGNMENT,
    CUSTOMER_STATE,
    DEAD_LETTER,
    IDENTITY_LINK,
    RESOLVED_EVENT,
)
from customeros.schemas.customer import CustomerState
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import Event, Family, ResolvedEvent
from customeros.schemas.identity import Assignment, IdentityLink
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATES
from customeros.schemas.topics import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    LINKS,
    RESOLVED,
    Topic,
    topic_key,
)
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.sinks.clickhouse.inserts import ClickHouse
from customeros.sinks.clickhouse.rows import SOURCES
from customeros.sinks.clickhouse.sink import GROUP, Sink
from support.servers import process
from support.waiting import until

NOON = 1_750_000_000_000
_COMMAND = """
import sys
from customeros.runtime.logs import configure_logs
from customeros.runtime.settings import read_settings
from customeros.sinks.clickhouse import run_sink
settings = read_settings()
configure_logs(settings.logs, process="sink")
sys.exit(run_sink(settings))
"""


def an_event(number: int = 0, **changes: Any) -> Event:
    """One page view; name only what matters."""
    return Event(
        **{
            "workspace": "shop",
            "source": "web",
            "event_id": f"e{number}",
            "family": Family.BEHAVIORAL,
            "kind": "track",
            "name": "Product Viewed",
            "occurred_at": NOON + number,
            "received_at": NOON + number,
            "identifier_keys": ("nid-ada",),
            **changes,
        }
    )


class SinkStack:
    """
    Args:
        settings: of a prefix and a database that no other test uses.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self._folder = folder
        self._producer = clients.producer(settings)
        ensure_topics(settings, SOURCES)

    def send(self, *records: Any, customer_id: str = "c-ada", version: int = 0) -> None:
        """Send values to the topic of their kind; an Event goes as resolved to *customer_id*."""
        for value in records:
            match value:
                case Event():
                    resolved = ResolvedEvent(
                        event=value, customer_id=customer_id, assignment_version=version
                    )
                    self.send(resolved)
                case ResolvedEvent():
                    key = topic_key(value.event.workspace, value.customer_id)
                    self.send_bytes(RESOLVED, key, RESOLVED_EVENT.encode(value))
                case CustomerState():
                    key = topic_key(value.workspace, value.customer_id)
                    self.send_bytes(STATES, key, CUSTOMER_STATE.encode(value))
                case AccountState():
                    key = topic_key(value.workspace, value.account_id)
                    self.send_bytes(ACCOUNT_STATES, key, ACCOUNT_STATE.encode(value))
                case Assignment():
                    key = topic_key(value.workspace, value.key)
                    self.send_bytes(ASSIGNMENTS, key, ASSIGNMENT.encode(value))
                case IdentityLink():
                    key = topic_key(value.workspace, f"{value.a}.{value.b}")
                    self.send_bytes(LINKS, key, IDENTITY_LINK.encode(value))
                case DeadLetter():
                    key = topic_key(value.workspace, value.source)
                    self.send_bytes(DEAD_LETTERS, key, DEAD_LETTER.encode(value))
                case _:
                    raise AssertionError(value)
        assert self._producer.flush(20) == 0

    def send_bytes(
        self, topic: Topic, key: bytes, value: bytes | None, *, timestamp: int = 0
    ) -> None:
        """Send a record as it is; `timestamp` 0 is now."""
        self._producer.produce(prefixed(self.settings, topic), value, key, timestamp=timestamp)
        self._producer.poll(0)

    def send_event(self, event: Event, customer_id: str) -> None:
        """Send *event* without waiting for the broker."""
        resolved = ResolvedEvent(event=event, customer_id=customer_id, assignment_version=0)
        key = topic_key(event.workspace, customer_id)
        self.send_bytes(RESOLVED, key, RESOLVED_EVENT.encode(resolved))

    def flush(self) -> None:
        """Wait until the broker has all that was sent."""
        assert self._producer.flush(20) == 0

    @contextmanager
    def sink(self) -> Iterator[None]:
        """A sink in a thread of this process; at the end it flushes."""
        stop = threading.Event()
        errors: list[BaseException] = []

        def run() -> None:
            try:
                target = ClickHouse(self.settings)
                Sink(self.settings, target, Progress(GROUP, 60.0)).run(stop)
                target.close()
            except BaseException as error:  # noqa: BLE001  (raised below)
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()
        if errors:
            raise errors[0]

    def process(self, **settings: str) -> Any:
        """A sink in a process of its own; `settings` are more environment variables."""
        kafka, clickhouse = self.settings.kafka, self.settings.clickhouse
        environment = {
            "CUSTOMEROS_HOME": str(self._folder),
            "CUSTOMEROS_KAFKA__BOOTSTRAP": str(kafka.bootstrap),
            "CUSTOMEROS_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
            "CUSTOMEROS_KAFKA__PARTITIONS": str(kafka.partitions),
            "CUSTOMEROS_CLICKHOUSE__URL": str(clickhouse.url),
            "CUSTOMEROS_CLICKHOUSE__DATABASE": clickhouse.database,
            **settings,
        }
        argv = [sys.executable, "-c", _COMMAND]
        return process(argv, env=environment, log=self._folder / "logs" / "sink.log")

    @contextmanager
    def another_member(self) -> Iterator[Callable[[], int]]:
        """One of the sink's group that reads nothing; yields how many partitions it has by now."""
        member = clients.consumer(
            self.settings, GROUP, **{"partition.assignment.strategy": "range"}
        )
        member.subscribe([prefixed(self.settings, topic) for topic in SOURCES])

        def partitions() -> int:
            member.poll(0.1)
            return len(member.assignment())

        try:
            yield partitions
        finally:
            member.close()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of *query* in the sink's database."""
        with self._client() as client:
            return [tuple(row) for row in client.query(query).result_rows]

    def command(self, statement: str) -> None:
        """Run *statement* in the sink's database."""
        with self._client() as client:
            client.command(statement)

    def count(self, view: str) -> int:
        """How many rows *view* has."""
        ((rows,),) = self.ask(f"SELECT count() FROM {view}")  # noqa: S608  (ours)
        return int(rows)

    def until_rows(self, query: str, rows: Sequence[Any], *, seconds: float = 30) -> None:
        """Wait until *query* answers *rows*; a table that is not there yet answers nothing."""
        last: list[Any] = []

        def answered() -> bool:
            try:
                last[:] = self.ask(query)
            except clickhouse_connect.driver.exceptions.DatabaseError as error:
                last[:] = [error.code]
            return last == list(rows)

        try:
            until(answered, seconds=seconds)
        except AssertionError:
            raise AssertionError(f"{query} answers {last}, not {rows}") from None

    def until_done(self, *, seconds: float = 60) -> None:
        """Wait until the sink has committed all that its topics hold."""
        until(lambda: self.lag() == 0, seconds=seconds, what="the sink's lag is 0", every=0.1)

    def lag(self) -> int:
        """How many offsets the sink's group has not committed."""
        reader = clients.consumer(self.settings, GROUP)
        try:
            behind = 0
            for place in reader.committed(self._places(), timeout=10):
                low, high = reader.get_watermark_offsets(place, timeout=10)
                behind += high - max(place.offset, low)
            return behind
        finally:
            reader.close()

    def rewind(self) -> None:
        """Let the stopped sink begin again at the first record of every topic."""
        group = clients.group_id(self.settings, GROUP)
        start = [TopicPartition(place.topic, place.partition, 0) for place in self._places()]
        request = [ConsumerGroupTopicPartitions(group, start)]

        admin = clients.admin(self.settings)

        def moved() -> bool:
            return not admin.alter_consumer_group_offsets(request)[group].exception(60)

        until(moved, what="the group is empty", seconds=60)

    def _client(self) -> Client:
        return clickhouse_connect.get_client(
            dsn=self.settings.clickhouse_url,
            database=self.settings.clickhouse.database,
            autogenerate_session_id=False,
        )

    def _places(self) -> list[TopicPartition]:
        return [
            TopicPartition(prefixed(self.settings, topic), partition)
            for topic in SOURCES
            for partition in range(self.settings.kafka.partitions)
        ]


def sink_settings(bootstrap: str, url: str, unique: str) -> Settings:
    """Two partitions, small batches, a database named like the prefix."""
    return Settings(
        kafka=Kafka(bootstrap=bootstrap, partitions=2, topic_prefix=unique),
        clickhouse=ClickHouseSettings(url=url, database=unique.rstrip("."), flush_seconds=0.1),
    )
