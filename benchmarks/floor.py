"""What could a stage cost at the least? Its own records through bare librdkafka, and no work."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, TopicPartition

from benchmarks.rig import Servers, installation
from customeros.ops.lag import READS, unread
from customeros.ops.spans import Place, Span, read, spans
from customeros.ops.stages import STAGES
from customeros.runtime.clients import consumer, producer
from customeros.runtime.config import Config
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas import topics

_AT_ONCE: Final = 10_000
_PATIENCE_SECONDS: Final = 10.0


class Traffic(NamedTuple):
    """The records that a stage read and those that it wrote, its changelog included."""

    read: Mapping[Place, Span]
    written: Mapping[Place, Span]


class Floor(NamedTuple):
    """CPU of this process and all its threads, in seconds."""

    reading: float
    writing: float


def traffic_from_now(stage: str, settings: Settings) -> Callable[[], Traffic]:
    """To be called when *stage* has done its work, while nothing else wrote in the meantime."""
    everything = topics.all_topics(STAGES)
    before = spans(settings, everything)
    reads = unread(settings, stage, before) if stage in READS else {}

    def until_now() -> Traffic:
        after = spans(settings, everything)
        return Traffic(reads, {p: Span(before[p].end, span.end) for p, span in after.items()})

    return until_now


def measure_floor(stage: str, servers: Servers, settings: Settings, traffic: Traffic) -> Floor:
    """Read what *stage* read, and decode it for a worker; then write what it wrote, elsewhere."""
    elsewhere = installation(servers, f"{settings.prefix.rstrip('.')}-floor-{stage}")
    written = [
        (f"{elsewhere.prefix}{(m.topic() or '').removeprefix(settings.prefix)}", m.key(), m.value())
        for m in read(settings, traffic.written)
    ]
    gc.collect()
    gc.freeze()
    try:
        return Floor(_reading(stage, settings, traffic.read), _writing(elsewhere, written))
    finally:
        gc.unfreeze()


def _reading(stage: str, settings: Settings, wanted: Mapping[Place, Span]) -> float:
    unread = {place for place, span in wanted.items() if span.start < span.end}
    if not unread:
        return 0.0
    decoders = _decoders(stage, settings)
    began = time.process_time()
    reader = consumer(settings, None, **{"enable.partition.eof": True})
    reader.assign([TopicPartition(*place, wanted[place].start) for place in unread])
    while unread:
        messages = reader.consume(_AT_ONCE, timeout=0.1)
        for message in messages:
            error = message.error()
            if error is None:
                decode = decoders.get(message.topic() or "")
                value = message.value()
                if decode and value is not None:
                    decode(value)
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard((message.topic() or "", message.partition() or 0))
    reader.close()
    return time.process_time() - began


def _writing(settings: Settings, records: list[tuple[str, bytes | None, bytes | None]]) -> float:
    began = time.process_time()
    client = producer(settings, **{"queue.buffering.max.messages": 2 * _AT_ONCE})
    for number, (topic, key, value) in enumerate(records):
        client.produce(topic, value, key)
        if number % _AT_ONCE == 0:
            client.flush(_PATIENCE_SECONDS)
    client.flush(_PATIENCE_SECONDS)
    return time.process_time() - began


def _decoders(stage: str, settings: Settings) -> dict[str, Callable[[bytes], Any]]:
    build = STAGES.get(stage)
    sources = build(Config({}), settings).sources if build else {}
    return {prefixed(settings, topic): decode for topic, decode in sources.items()}
