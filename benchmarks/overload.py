"""Ten times what can be taken, for minutes: what do clients hear, what is lost, how does it end?"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from statistics import quantiles
from typing import Final, NamedTuple

from clickhouse_connect.driver.client import Client

from benchmarks.measurement import Measurement, Sizes
from benchmarks.offering import (
    BATCH,
    NO_ANSWER,
    NO_CONNECTION,
    Bodies,
    Outcome,
    number_sql,
    offer,
)
from benchmarks.plots import Kind, Plot
from benchmarks.report import Figure, Row, Section
from benchmarks.rig import (
    Running,
    Servers,
    check_alive,
    installation,
    is_through,
    running_all,
    send_all,
    wait_until,
)
from benchmarks.traffic import traffic
from benchmarks.usage import peak_rss_bytes
from benchmarks.whole import wait_until_opened, when_arrived
from customeros.ops.demo.checks import stored_counts
from customeros.ops.lag import READS, unread
from customeros.ops.spans import spans
from customeros.runtime.clickhouse import connect
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.schemas.topics import EVENTS

_SEED: Final = 8
_FACTOR: Final = 10
# What the sustainable rate is measured with: for each second of overload, and at least.
_EVENTS_PER_SECOND, _FEWEST_EVENTS = 1_000, 5_000
_PATIENCE_SECONDS: Final = 3_600.0
_POLL_SECONDS: Final = 0.25
_ACCEPTED: Final = 200
_KINDS: Final = {
    "accepted/s": _ACCEPTED,
    "429/s": 429,
    "503/s": 503,
    "unanswered/s": NO_ANSWER,
    "unsent/s": NO_CONNECTION,
}


class Verdict(NamedTuple):
    """
    Events that the client was told are accepted, against those that are there.

    Args:
        unasked: they are there although no answer said so: a refusal or a broken connection does
            not say that they are not.
    """

    accepted: int
    lost: int
    twice: int
    unasked: int


def measure_overload(
    servers: Servers, *, seconds: float, rate: float, run: int
) -> Sequence[Section]:
    """
    Offer ten times the rate that can be sustained; wait; look for every accepted event.

    Args:
        rate: that can be sustained, events/s; 0: it is measured first.
    """
    settings = installation(servers, f"overload-{run}")
    with running_all(settings) as processes:
        everything = {**processes, "kafka": servers.kafka, "clickhouse": servers.clickhouse}
        wait_until_opened(settings, processes)
        rate = rate or _sustained(settings, everything.values(), seconds)
        outcomes = offer(
            settings.collector.port,
            read_secrets(settings).write_key,
            Bodies(_SEED),
            batches_per_second=_FACTOR * rate / BATCH,
            seconds=seconds,
        )
        waiting = _unresolved(settings)
        recovery = _rested(settings, everything.values())
        with connect(settings, settings.clickhouse.database) as client:
            found = _verdict(client, outcomes)
            counts = stored_counts(client)
        peaks = {name: peak_rss_bytes(process.pid) for name, process in everything.items()}
    peaks["all of it"] = sum(peaks.values())
    told: Row = {
        "sustained/s": rate,
        **_rates(outcomes, seconds),
        **_waits("200", [o for o in outcomes if o.status == _ACCEPTED]),
        **_waits("429 or 503", [o for o in outcomes if o.status in (429, 503)]),
    }
    afterwards: Row = {
        **found._asdict(),
        "in no state": counts["events"] - counts["folded"],
        "waiting": waiting,
        "backlog s": waiting / rate,
        "recovery s": recovery,
    }
    return (
        Section(
            "Overload: what clients hear",
            f"{_FACTOR} times the rate that can be sustained, in batches of {BATCH}, for "
            f"{seconds:g} s and whatever is answered; nothing is sent again.",
            [told],
        ),
        Section("Overload, second by second", "The same.", _course(outcomes, seconds), shown=False),
        Section(
            "Overload: what becomes of it",
            "Events, by their ids: accepted is what a client was told; lost and twice have to be "
            "0. Unasked ones are there although the answer was none or a refusal. Waiting are "
            "those that resolve had yet to read at the last answer, and backlog the time that they "
            "take at the sustained rate; recovery is from the last answer until no stage lags.",
            [afterwards],
        ),
        Section(
            "Overload: memory",
            "The most that each process ever had, as the kernel counts it.",
            [{"process": name, "peak RSS MB": round(peak / 1e6)} for name, peak in peaks.items()],
        ),
    )


def verdict(outcomes: Sequence[Outcome], found: Mapping[int, tuple[int, int]]) -> Verdict:
    """
    What became of the events of all batches.

    Args:
        found: events that are there and different ones among them, by the number of their batch.
    """
    nothing = (0, 0)
    promised = {number for number, o in enumerate(outcomes) if o.status == _ACCEPTED}
    return Verdict(
        accepted=len(promised) * BATCH,
        lost=sum(BATCH - found.get(number, nothing)[1] for number in promised),
        twice=sum(events - different for events, different in found.values()),
        unasked=sum(
            different for number, (_, different) in found.items() if number not in promised
        ),
    )


def _sustained(settings: Settings, processes: Collection[Running], seconds: float) -> float:
    """Events a second that go the whole way, sent as fast as they are taken."""
    count = max(_FEWEST_EVENTS, round(_EVENTS_PER_SECOND * seconds))
    calls = list(islice(traffic(_SEED, name="sustained"), count))
    send_all(settings, calls[:BATCH], batch=BATCH, connections=1)
    when_arrived(settings, processes, BATCH, time.monotonic)
    began = time.monotonic()
    send_all(settings, calls[BATCH:], batch=BATCH, connections=4)
    # To see that a stage rests takes seconds, which are none of the work.
    arrived = when_arrived(settings, processes, count, time.monotonic)
    return (count - BATCH) / (arrived - began)


def _rested(settings: Settings, processes: Collection[Running]) -> float:
    """Seconds until no stage has anything left to do."""
    began = time.monotonic()

    def rests() -> bool:
        check_alive(processes)
        return is_through(settings, *READS)

    # What a stage has sent is not read yet at the moment in which it is done itself.
    for _ in range(2):
        wait_until(
            rests, seconds=_PATIENCE_SECONDS, what="the backlog is gone", every=_POLL_SECONDS
        )
    return time.monotonic() - began


def _unresolved(settings: Settings) -> int:
    """Accepted events that the first stage has not committed."""
    left = unread(settings, "resolve", spans(settings, EVENTS.values()))
    return sum(end - start for start, end in left.values())


def _verdict(client: Client, outcomes: Sequence[Outcome]) -> Verdict:
    sql = (
        f"SELECT {number_sql('event_id')} AS batch, count(), uniqExact(event_id) FROM events"  # noqa: S608 - constants
        " WHERE match(event_id, '^c[0-9]+-') GROUP BY batch"
    )
    rows = client.query(sql).result_rows
    return verdict(outcomes, {int(batch): (int(e), int(d)) for batch, e, d in rows})


def _waits(status: str, outcomes: Sequence[Outcome]) -> dict[str, Figure]:
    if len(outcomes) < 2:
        return {}
    waits = quantiles((o.seconds * 1000 for o in outcomes), n=100, method="inclusive")
    return {f"{status} p50 ms": waits[49], f"{status} p99 ms": waits[98]}


def _course(outcomes: Sequence[Outcome], seconds: float) -> list[Row]:
    """The rates in each second."""
    last = math.ceil(seconds) - 1
    parts: list[list[Outcome]] = [[] for _ in range(last + 1)]
    for outcome in outcomes:
        parts[min(int(outcome.at), last)].append(outcome)
    return [{"second": second, **_rates(those, 1.0)} for second, those in enumerate(parts)]


def _rates(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Figure]:
    by_status = Counter(outcome.status for outcome in outcomes)
    named = {name: by_status[status] for name, status in _KINDS.items()}
    counts = {"offered/s": len(outcomes), **named, "other/s": len(outcomes) - sum(named.values())}
    return {name: count * BATCH / seconds for name, count in counts.items()}


MEASUREMENT: Final = Measurement(
    "overload",
    lambda run: measure_overload(
        run.servers(), seconds=run.sizes.seconds, rate=run.sizes.rate, run=run.number
    ),
    usual=Sizes(seconds=120),
    quick=Sizes(seconds=2, rate=100),
    plots=(
        Plot(
            name="overload",
            section="Overload, second by second",
            question="What do clients hear at ten times the rate?",
            kind=Kind.LINES,
            x="second",
            values=tuple(_KINDS),
            unit="events/s",
        ),
    ),
)
