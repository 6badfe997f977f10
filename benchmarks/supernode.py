"""What does a value that everybody shares cost, and what do those pay who have nothing of it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.inside import Inside, an_event
from benchmarks.measurement import Measurement
from benchmarks.plots import Kind, Plot
from benchmarks.report import Row, Section
from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier
from customeros.schemas.topics import EVIDENCE

_KIOSK: Final = Identifier("device_id", "kiosk")
_INFO: Final = Identifier("email", "info@shop.example")


def measure_supernode(*, sharing: int) -> Section:
    """Let *sharing* identifiers come beside one device id, and as many beside one address."""
    people, ordinary = max(sharing // 50, 10), max(sharing // 5, 100)
    with TemporaryDirectory(prefix="customeros-benchmarks-") as folder:
        stages = Inside(Path(folder))
        # Two groups, as what is known of people grows with what they do.
        for group in ("early", "late"):
            stages.happen([*_log_ins(group, people), *_ordinary(group, people, people)])
        rows = [
            _row("an ordinary event, before", stages, _ordinary("early", people, ordinary)),
            _row("a new visitor's, at the kiosk", stages, _beside(_KIOSK, sharing)),
            _row("a new visitor's, with the shared address", stages, _beside(_INFO, sharing)),
            _row("a known visitor's, at the kiosk", stages, _beside(_KIOSK, ordinary)),
            _row("an ordinary event, after", stages, _ordinary("late", people, ordinary)),
        ]
        largest = max(stages.largest_bytes, key=lambda where: stages.largest_bytes[where])
        size = stages.largest_bytes[largest]
        stages.close()
    return Section(
        "Supernode",
        f"A kiosk's device id and a mailbox, each shared by {sharing:,} anonymous ids. CPU of "
        "resolve, graph and state in one process, on RocksDB, without a broker. Evidence is what "
        "resolve sent to the graph.",
        [*rows, {"what": f"largest record ({largest})", "bytes": size}],
    )


def _row(what: str, stages: Inside, events: Iterable[Event]) -> Row:
    found = list(events)
    sent = stages.sent[EVIDENCE.name]
    used = stages.happen(found)
    return {
        "what": what,
        "events": len(found),
        "CPU µs/event": used / len(found) * 1e6,
        "evidence": stages.sent[EVIDENCE.name] - sent,
    }


def _log_ins(group: str, people: int) -> Iterator[Event]:
    for number in range(people):
        yield an_event("identify", *_person(group, number))


def _ordinary(group: str, people: int, events: int) -> Iterator[Event]:
    """Of people who are known, with what is known of them."""
    for number in range(events):
        user, _, browser = _person(group, number % people)
        yield an_event("track", user, browser)


def _beside(shared: Identifier, visitors: int) -> Iterator[Event]:
    for number in range(visitors):
        visitor = Identifier("anonymous_id", f"{shared.type}-{number}")
        both = (shared, visitor) if shared.type == "email" else (visitor, shared)
        yield an_event("page", *both)


def _person(group: str, number: int) -> tuple[Identifier, Identifier, Identifier]:
    return (
        Identifier("user_id", f"{group}-{number}"),
        Identifier("email", f"{group}-{number}@mail.example"),
        Identifier("anonymous_id", f"{group}-{number}"),
    )


MEASUREMENT: Final = Measurement(
    "supernode",
    lambda run: [measure_supernode(sharing=run.sizes.identifiers)],
    plots=(
        Plot(
            name="supernode",
            section="Supernode",
            question="Does a value that everybody shares make events dearer?",
            kind=Kind.BARS,
            x="what",
            values=("CPU µs/event",),
            unit="CPU µs per event (resolve, graph and state)",
        ),
    ),
)
