"""Do more workers of a stage share its load, and what does an event cost then?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from itertools import chain, islice
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from benchmarks.measurement import Measurement, Sizes
from benchmarks.plots import Kind, Plot
from benchmarks.progress import partitions_owned, records_read
from benchmarks.report import Row, Section
from benchmarks.rig import (
    Running,
    Servers,
    installation,
    running,
    send_all,
    specs_of,
    started,
    wait_until,
    wait_until_ready,
)
from benchmarks.traffic import traffic
from benchmarks.usage import usage
from benchmarks.whole import when_arrived
from customeros.ops.lag import READS
from customeros.ops.stages import STAGES
from customeros.runtime.clients import consumer, deliver, producer
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import EVENTS, Topic

_SEED: Final = 9
_WORKERS: Final = (1, 2, 4)
_PARTITIONS: Final = 8
# Of fewer for each worker, some would have none.
_FEWEST: Final = 1_000
_OPEN_SECONDS: Final = 300.0

Accepted = list[tuple[Topic, bytes | None, bytes]]


def measure_scale_out(servers: Servers, *, events: int, run: int) -> list[Section]:
    """The same backlog of accepted events, taken by one, two and four workers of each stage."""
    accepted = _accepted(servers, events, run)
    rows: list[Row] = []
    shares: list[Row] = []
    for workers in [n for n in _WORKERS if n == 1 or n * _FEWEST <= events]:
        settings = installation(servers, f"scale-{run}-{workers}", partitions=_PARTITIONS)
        row, read = _taken(servers, settings, accepted, workers)
        rows.append(row)
        shares += [{"stage": stage, "workers": workers, **read[stage]} for stage in read]
    return [
        Section(
            "Scale out",
            f"{events:,} accepted events on {_PARTITIONS} partitions, written to the topics at "
            "once, until all are in ClickHouse and in the states. CPU is the sum over a stage's "
            "workers, their start left out; all of them share this machine's cores, so the rate "
            "cannot grow with them here.",
            rows,
        ),
        Section(
            "Shares",
            "Of what all workers of a stage read, by the one that read least and most.",
            shares,
        ),
    ]


def _accepted(servers: Servers, events: int, run: int) -> Accepted:
    """What the collector makes of the seeded traffic."""
    settings = installation(servers, f"scale-{run}", partitions=1)
    calls = list(islice(traffic(_SEED), events))
    with running(specs_of(settings)["collector"], settings.home / "logs"):
        send_all(settings, calls, batch=100, connections=4)
    reader = consumer(settings, None, **{"enable.partition.eof": True})
    topics = {prefixed(settings, topic): topic for topic in EVENTS.values()}
    reader.assign([TopicPartition(name, 0, OFFSET_BEGINNING) for name in topics])
    found: Accepted = []
    unread = set(topics)
    while unread:
        for message in reader.consume(1_000, 1.0):
            error, value = message.error(), message.value()
            name = str(message.topic())
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                unread.discard(name)
            elif error is None and value is not None:
                found.append((topics[name], message.key(), value))
    reader.close()
    return found


def _taken(
    servers: Servers, settings: Settings, accepted: Accepted, workers: int
) -> tuple[Row, Mapping[str, Row]]:
    """One row of figures, and the shares by stage."""
    with ExitStack() as stack:
        running_by = {
            stage: [stack.enter_context(one) for one in _workers(settings, stage, workers)]
            for stage in READS
        }
        for process in chain.from_iterable(running_by.values()):
            wait_until_ready(process)
        for stage in STAGES:
            wait_until(
                lambda group=running_by[stage]: (  # type: ignore[misc]
                    sum(map(partitions_owned, group)) == _PARTITIONS
                    and all(map(partitions_owned, group))
                ),
                seconds=_OPEN_SECONDS,
                what=f"all workers of {stage} own partitions",
            )
        everybody = {
            **running_by,
            "kafka": [servers.kafka],
            "clickhouse": [servers.clickhouse],
        }
        before, begun = _cpu(everybody), time.monotonic()
        records = ((prefixed(settings, topic), key, value) for topic, key, value in accepted)
        deliver(producer(settings), records, seconds=_OPEN_SECONDS)
        seconds, after = when_arrived(
            settings,
            list(chain.from_iterable(everybody.values())),
            len(accepted),
            lambda: (time.monotonic() - begun, _cpu(everybody)),
        )
        read = {stage: sorted(map(records_read, running_by[stage])) for stage in running_by}
    used = {name: (after[name] - before[name]) / len(accepted) * 1e6 for name in everybody}
    row: Row = {
        "workers of each stage": workers,
        "events": len(accepted),
        "events/s": len(accepted) / seconds,
        "µs/event": sum(used.values()),
        **used,
    }
    return row, {
        stage: {"least %": counts[0] / sum(counts) * 100, "most %": counts[-1] / sum(counts) * 100}
        for stage, counts in read.items()
    }


def _workers(
    settings: Settings, stage: str, workers: int
) -> Iterator[AbstractContextManager[Running]]:
    for number in range(workers):
        spec = specs_of(settings)[stage]
        yield started(replace(spec, name=f"{stage}-{number}"), settings.home / "logs")


def _cpu(everybody: Mapping[str, Sequence[Running]]) -> dict[str, float]:
    return {
        name: sum(usage(process.pid).cpu_seconds for process in group)
        for name, group in everybody.items()
    }


MEASUREMENT: Final = Measurement(
    "scale-out",
    lambda run: measure_scale_out(run.servers(), events=run.sizes.events, run=run.number),
    usual=Sizes(events=30_000),
    quick=Sizes(events=300),
    plots=(
        Plot(
            name="scale-out",
            section="Scale out",
            question="What does an event cost when more workers share the load?",
            kind=Kind.STACKED,
            x="workers of each stage",
            values=(*READS, "kafka", "clickhouse"),
            unit="CPU µs per event, sum over the workers",
        ),
    ),
)
