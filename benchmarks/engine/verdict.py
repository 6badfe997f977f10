"""Is what an engine said right? All of its output is read, as a reader of committed records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from benchmarks.engine.job import Sums, read_sums
from customeros.runtime.clients import consumer
from customeros.runtime.settings import Settings

_AT_ONCE: Final = 10_000
_ASK_SECONDS: Final = 0.2
_REQUEST_SECONDS: Final = 10.0


class Said:
    """
    What is said on *topic* from now on.

    Attributes:
        outputs: how many came.
        last: of every key.
        heard: when something came last, as `time.monotonic` tells.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.outputs = 0
        self.heard = time.monotonic()
        self.last: dict[bytes, Sums] = {}
        self._consumer = from_now_on(settings, topic)

    def listen(self, right: Mapping[bytes, Sums], *, patience_seconds: float) -> None:
        """Return when the last of every key is right, or nothing has come for that long."""
        self.heard = time.monotonic()
        while self.last != right and time.monotonic() < self.heard + patience_seconds:
            for message in self._consumer.consume(_AT_ONCE, _ASK_SECONDS):
                key, value = message.key(), message.value()
                if message.error() is None and key is not None and value is not None:
                    self.last[key] = read_sums(value)
                    self.outputs += 1
                    self.heard = time.monotonic()

    def close(self) -> None:
        self._consumer.close()


def from_now_on(settings: Settings, topic: str) -> Consumer:
    """Reads what is committed to *topic* from its present end."""
    client = consumer(settings)
    ends = [
        TopicPartition(topic, number, client.get_watermark_offsets(place, _REQUEST_SECONDS)[1])
        for number in range(settings.kafka.partitions)
        for place in (TopicPartition(topic, number),)
    ]
    client.assign(ends)
    return client


def judged(
    last: Mapping[bytes, Sums], outputs: int, right: Mapping[bytes, Sums], *, each: bool
) -> str:
    """
    `right`, or what is wrong in a few words.

    Args:
        last: what was said last of every key.
        outputs: how often something was said.
        each: it should have been once for every event.
    """
    differences = [last.get(key, Sums()).number - sums.number for key, sums in right.items()]
    lost = -sum(difference for difference in differences if difference < 0)
    twice = sum(difference for difference in differences if difference > 0)
    others = sum(last.get(key) != sums for key, sums in right.items())
    events = sum(sums.number for sums in right.values())
    problems = []
    if lost:
        problems.append(f"{lost:,} not counted")
    if twice:
        problems.append(f"{twice:,} counted twice")
    if others and not problems:
        problems.append(f"{others:,} sums wrong")
    if each and outputs != events:
        amount = "too many" if outputs > events else "missing"
        problems.append(f"{abs(outputs - events):,} outputs {amount}")
    return ", ".join(problems) or "right"
