"""A workspace with so many identifiers: what does each worker take, and how soon is it back?"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.measurement import Measurement
from benchmarks.plots import Kind, Plot
from benchmarks.progress import is_quiet, partitions_owned, watch
from benchmarks.report import Row, Section
from benchmarks.rig import Servers, installation, is_through, running, specs_of, wait_until
from benchmarks.usage import usage
from customeros.ops.stages import STAGES
from customeros.runtime.clients import producer
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import EVENT
from customeros.schemas.event import Event, Family, Personal
from customeros.schemas.identifier import Identifier, identifier_key
from customeros.schemas.topics import EVENTS, topic_key

_SECRET: Final = b"a key of the benchmarks"
_BEGIN_MS: Final = 1_767_225_600_000
_OPEN_SECONDS: Final = 900.0
# Resolve comes a second time, for the assignments that the graph gave.
_ORDER: Final = ("resolve", "graph", "resolve", "state")


def measure_recovery(servers: Servers, *, identifiers: int, run: int) -> Section:
    """Fill every stage, one after another; then restart each with its disk and without."""
    settings = installation(servers, f"recovery-{run}")
    customers = _send(settings, identifiers)
    rows: dict[str, dict[str, str | int | float]] = {
        stage: {"what": stage, "identifiers": identifiers} for stage in STAGES
    }
    for stage in _ORDER:
        rows[stage] |= _fill(stage, servers, settings)
    for stage in STAGES:
        state = _state_of(settings, stage)
        rows[stage]["disk MB"] = round(sum(f.stat().st_size for f in _files(state)) / 1e6)
        rows[stage]["warm s"] = _reopen(stage, settings)["s"]
        shutil.rmtree(state)
        cold = _reopen(stage, settings)
        rows[stage] |= {
            "cold s": cold["s"],
            "records": cold["records"],
            "records/s": cold["records/s"],
            "RSS MB, cold": cold["RSS MB"],
        }
    return Section(
        "Recovery",
        f"{identifiers:,} identifiers of {customers:,} customers. RSS at the end of the backlog "
        "that filled the stage; warm and cold: from the start of the process until it owns all "
        "partitions, with its disk and without. Records are the changelog's, as compacted so far; "
        "their rate is that of reading them into the store, the start of the process left out.",
        list(rows.values()),
    )


def _send(settings: Settings, identifiers: int) -> int:
    """
    Straight to the topics: every customer's ids in one event; how many customers.

    Of five identifiers three are one customer's and two another's.
    """
    sender = producer(settings, **{"queue.buffering.max.messages": 1_000_000})
    customers = 0
    for event in _events(identifiers):
        key = topic_key(event.workspace, event.identifier_keys[0])
        sender.produce(prefixed(settings, EVENTS[event.family]), EVENT.encode(event), key)
        customers += 1
        if customers % 1_000 == 0:
            sender.flush()
    sender.flush()
    return customers


def _events(identifiers: int) -> Iterator[Event]:
    told = number = 0
    while told < identifiers:
        named = [Identifier("user_id", f"user-{number}")]
        if number % 2:
            named.append(Identifier("email", f"user-{number}@mail.example"))
        named.append(Identifier("anonymous_id", f"browser-{number}"))
        yield Event(
            workspace="default",
            source="demo",
            event_id=f"m-{number}",
            family=Family.BEHAVIORAL,
            kind="identify",
            name="identify",
            occurred_at=_BEGIN_MS + number,
            received_at=_BEGIN_MS + number,
            identifier_keys=tuple(identifier_key(_SECRET, found) for found in named),
            personal=Personal(
                identifiers=tuple(named), traits={"name": f'"Customer {number}"', "plan": '"free"'}
            ),
        )
        told += len(named)
        number += 1


def _fill(stage: str, servers: Servers, settings: Settings) -> Row:
    with running(specs_of(settings)[stage], settings.home / "logs") as worker:
        watch(worker, servers, done=lambda looks: is_quiet(looks) and is_through(settings, stage))
        return {"RSS MB, full": round(usage(worker.pid).rss_bytes / 1e6)}


def _reopen(stage: str, settings: Settings) -> dict[str, int | float]:
    log = settings.home / "logs" / f"{stage}.log"
    begun, skip = time.monotonic(), len(log.read_text().splitlines())
    with running(specs_of(settings)[stage], log.parent) as worker:
        wait_until(
            lambda: partitions_owned(worker) == settings.kafka.partitions,
            seconds=_OPEN_SECONDS,
            what=f"{stage} owns its partitions",
        )
        seconds = time.monotonic() - begun
        memory = usage(worker.pid).rss_bytes
    opened = [
        (datetime.fromisoformat(line["timestamp"]).timestamp(), line["seconds"], line["caught_up"])
        for line in map(json.loads, log.read_text().splitlines()[skip:])
        if line["event"] == "partition_opened"
    ]
    took = max(at for at, _, _ in opened) - min(at - spent for at, spent, _ in opened)
    records = sum(caught_up for _, _, caught_up in opened)
    return {
        "s": seconds,
        "records": records,
        "records/s": records / took,
        "RSS MB": round(memory / 1e6),
    }


def _state_of(settings: Settings, stage: str) -> Path:
    (found,) = (settings.home / "state").glob(f"*{stage}")
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


MEASUREMENT: Final = Measurement(
    "recovery",
    lambda run: [
        measure_recovery(run.servers(), identifiers=run.sizes.identifiers, run=run.number)
    ],
    plots=(
        Plot(
            name="recovery",
            section="Recovery",
            question="How fast does a worker without its disk read its state back?",
            kind=Kind.BARS,
            x="what",
            values=("records/s",),
            unit="records of the changelog a second",
            aim=100_000,
        ),
        Plot(
            name="recovery-time",
            section="Recovery",
            question="How long is a worker away that starts again?",
            kind=Kind.BARS,
            x="what",
            values=("warm s", "cold s"),
            unit="seconds from its start until it owns all partitions",
        ),
    ),
)
