"""Stages on real Kafka under a test's hands: fed, killed, robbed of their disk, and read."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)

from customeros.runtime.clients import admin, consumer, group_id, producer
from customeros.runtime.settings import Kafka, Settings, Worker
from customeros.runtime.stack.processes import environment
from customeros.runtime.stream.memory import Stored
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import Topic, all_topics
from support.counting import LEFT, RIGHT, STAGE
from support.servers import process
from support.waiting import until

_TESTS = Path(__file__).parent.parent


class _Running(NamedTuple):
    child: subprocess.Popen[bytes]
    context: AbstractContextManager[subprocess.Popen[bytes]]


class Workers:
    """Worker processes by name, each with a home of its own, and the topics that they share."""

    def __init__(self, settings: Settings, stages: Collection[str]) -> None:
        self.settings = settings
        ensure_topics(settings, all_topics(stages))
        self._producer = producer(settings)
        self._running: dict[str, _Running] = {}

    def produce(self, topic: Topic, key: bytes, value: bytes | None) -> None:
        """Append one input record; `flush` sees to it that it is there."""
        self._producer.produce(prefixed(self.settings, topic), value, key)

    def flush(self) -> None:
        """Wait until all that was produced is at the broker."""
        assert self._producer.flush(30) == 0

    def run(
        self, name: str, argv: Sequence[str], env: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start worker *name* as *argv*, with these variables and those of the settings."""
        settings = self.settings.model_copy(update={"home": self.home(name)})
        context = process(argv, env={**environment(settings), **env}, log=self.log(name))
        self._running[name] = _Running(context.__enter__(), context)
        return self._running[name].child

    def home(self, name: str = "a") -> Path:
        """Where worker *name* keeps its state."""
        return self.settings.home / name

    def log(self, name: str = "a") -> Path:
        """What worker *name* said."""
        return self.settings.home / f"{name}.log"

    def kill(self, name: str = "a", *, lose_store: bool = False) -> None:
        """`kill -9` worker *name*, and take its disk."""
        child = self._running.pop(name).child
        child.send_signal(signal.SIGKILL)
        child.wait()
        if lose_store:
            shutil.rmtree(self.home(name), ignore_errors=True)

    def forget(self, name: str) -> None:
        """Worker *name* has ended and is not to be started again."""
        del self._running[name]

    def ended(self) -> list[str]:
        """The workers that have ended by themselves."""
        return [name for name, found in self._running.items() if found.child.poll() is not None]

    def records(self, topic: Topic) -> list[Stored]:
        """Every committed record of *topic*: in order within a partition, one after the other."""
        reader = consumer(self.settings, None, **{"enable.partition.eof": True})
        places = self._places(topic)
        reader.assign([TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in places])
        found: list[list[Stored]] = [[] for _ in places]
        ended: set[int] = set()
        while len(ended) < len(places):
            message = reader.poll(30)
            assert message is not None, "the broker does not answer"
            partition = message.partition() or 0
            if message.error():
                ended.add(partition)
            else:
                record = (message.offset() or 0, message.key(), message.value())
                found[partition].append(Stored(*record, message.timestamp()[1]))
        reader.close()
        return [record for partition in found for record in partition]

    def stop(self) -> None:
        """End every worker."""
        for running in self._running.values():
            running.child.send_signal(signal.SIGCONT)
        for running in self._running.values():
            running.context.__exit__(None, None, None)
        self._running.clear()

    def _places(self, *topics: Topic) -> list[TopicPartition]:
        return [
            TopicPartition(prefixed(self.settings, topic), partition)
            for topic in topics
            for partition in range(self.settings.kafka.partitions)
        ]


class CountingOnKafka(Workers):
    """`support.counting` as one process or several."""

    def __init__(self, bootstrap: str, prefix: str, home: Path) -> None:
        super().__init__(
            Settings(
                home=home,
                kafka=Kafka(bootstrap=bootstrap, topic_prefix=prefix, partitions=4),
                worker=Worker(session_seconds=6),
            ),
            (STAGE,),
        )
        self.seconds_per_record = 0.0

    def start(self, name: str = "a") -> subprocess.Popen[bytes]:
        """Start worker *name*."""
        env = {"PYTHONPATH": str(_TESTS), "SECONDS_PER_RECORD": str(self.seconds_per_record)}
        return self.run(name, [sys.executable, "-m", "support.counting"], env)

    def hangs(self, name: str = "a") -> Path:
        """If there, worker *name* takes it away in its next batch, which never ends."""
        return self.home(name) / "hangs"

    def settle(self) -> None:
        """Wait until every input is folded, committed and acknowledged; restart what ended."""
        self.flush()
        if not self._running:
            self.start()
        until(self._is_settled, seconds=120, what="all input is acknowledged", every=0.2)

    def crash(self, *, lose_store: bool = False) -> None:
        """`kill -9` and start again."""
        self.kill(lose_store=lose_store)
        self.start()

    def forget_offsets(self) -> None:
        """Every source is read again from its beginning, as after a loss of the group's offsets."""
        for name in list(self._running):
            self.kill(name)
        group = group_id(self.settings, STAGE)
        places = [TopicPartition(p.topic, p.partition, 0) for p in self._places(LEFT, RIGHT)]
        client = admin(self.settings)

        def is_forgotten() -> bool:
            # The group has to be empty: the killed worker's session must have ended.
            answer = client.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group, places)]
            )
            return answer[group].exception(30) is None

        until(is_forgotten, seconds=60, what="the group is empty", every=0.2)
        self.start()

    def _is_settled(self) -> bool:
        for name in self.ended():
            self.start(name)
        places = self._places(LEFT, RIGHT)
        reader = consumer(self.settings, STAGE)
        try:
            committed = {(p.topic, p.partition): p.offset for p in reader.committed(places, 30)}
            return all(
                max(0, committed[p.topic, p.partition])
                == reader.get_watermark_offsets(p, timeout=30)[1]
                for p in places
            )
        except KafkaException:  # a broker that has just come back
            return False
        finally:
            reader.close()
