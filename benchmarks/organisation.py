"""What does an event cost that names an organisation, by how many belong to it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec.structs import replace

from benchmarks.inside import Inside, an_event
from benchmarks.measurement import Measurement
from benchmarks.plots import Kind, Plot
from benchmarks.report import Row, Section
from customeros.schemas.event import Event, Family, Money, Order, OrderAction
from customeros.schemas.identifier import Identifier

_EVENTS: Final = 1_000


def measure_organisation(*, members: int) -> Section:
    """Orders of people of no organisation, then of organisations of more and more people."""
    with TemporaryDirectory(prefix="customeros-benchmarks-") as folder:
        stages = Inside(Path(folder))
        stages.happen(list(_orders(None, 100, 100)))
        rows = [_row("an order that names none", stages, _orders(None, 100, _EVENTS))]
        for size in (1, 10, 100, 1_000, members):
            account = f"of-{size}"
            stages.happen(list(_orders(account, size, size)))
            what = f"one that names an organisation of {size:,}"
            rows.append(_row(what, stages, _orders(account, size, _EVENTS)))
        largest = max(stages.largest_bytes, key=lambda where: stages.largest_bytes[where])
        size = stages.largest_bytes[largest]
        stages.close()
    return Section(
        "Organisation",
        f"{_EVENTS:,} orders, of all members in turn. CPU of resolve and state in one process, on "
        "RocksDB, without a broker, 500 events a transaction.",
        [*rows, {"what": f"largest record ({largest})", "bytes": size}],
    )


def _row(what: str, stages: Inside, events: Iterator[Event]) -> Row:
    found = list(events)
    before = dict(stages.cpu_seconds)
    stages.happen(found)
    used = {
        stage: (stages.cpu_seconds[stage] - before.get(stage, 0.0)) / len(found) * 1e6
        for stage in ("resolve", "state")
    }
    return {"what": what, **{f"{stage} µs/event": cost for stage, cost in used.items()}}


def _orders(account: str | None, people: int, events: int) -> Iterator[Event]:
    for at in range(events):
        event = an_event("track", Identifier("user_id", f"{account}-{at % people}"))
        yield replace(
            event,
            family=Family.TRANSACTIONAL,
            name="Order Completed",
            account_id=account,
            order=Order(
                order_id=event.event_id,
                action=OrderAction.PLACED,
                total=Money(event.occurred_at % 5_000, "EUR"),
            ),
        )


MEASUREMENT: Final = Measurement(
    "organisation",
    lambda run: [measure_organisation(members=run.sizes.identifiers // 10)],
    plots=(
        Plot(
            name="organisation",
            section="Organisation",
            question="What does an order cost that names an organisation?",
            kind=Kind.STACKED,
            x="what",
            values=("resolve µs/event", "state µs/event"),
            unit="CPU µs per event",
        ),
    ),
)
