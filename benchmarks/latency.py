"""How long until an accepted event can be asked for? At a light and steady load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from statistics import median, quantiles
from typing import Final

from clickhouse_connect.driver.client import Client
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from benchmarks.measurement import Measurement
from benchmarks.report import Row, Section
from benchmarks.rig import Servers, installation, running_all, tracking_client, wait_until
from benchmarks.traffic import traffic
from benchmarks.whole import wait_until_opened
from customeros.runtime.clickhouse import connect
from customeros.runtime.clients import consumer
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import CUSTOMER_STATE as CUSTOMER_STATE_CODEC
from customeros.schemas.topics import CUSTOMER_STATE

_SEED: Final = 6
_RATE: Final = 100
_WARM_UP_EVENTS: Final = 300
_ASK_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 60.0

Moments = dict[str, float]


class _Seen:
    """When each event was first seen somewhere; its thread looks until it is stopped."""

    def __init__(self, look: Callable[[], Iterable[str]]) -> None:
        self.moments: Moments = {}
        self.failure: BaseException | None = None
        self._look = look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Seen:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def has(self, event_ids: Iterable[str]) -> bool:
        """Whether it has seen all; raises what made it stop looking."""
        if self.failure is not None:
            raise self.failure
        return all(event_id in self.moments for event_id in event_ids)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                found = self._look()
                now = time.monotonic()
                for event_id in found:
                    self.moments.setdefault(event_id, now)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self.failure = error


class _Asking:
    """
    Asks ClickHouse for those that are on their way, again and again.

    Of the table under the view `events`: what is in one can be seen in the other, and the view's
    join would cost as much CPU as all the rest.
    """

    def __init__(self, client: Client, sent: Mapping[str, object]) -> None:
        self.asked_at: list[float] = []
        self._client = client
        self._sent = sent
        self._seen: set[str] = set()

    def look(self) -> Iterable[str]:
        """Those among the ones sent that can be seen now and could not before."""
        if self.asked_at:
            time.sleep(max(0.0, self.asked_at[-1] + _ASK_SECONDS - time.monotonic()))
        self.asked_at.append(time.monotonic())
        pending = [event_id for event_id in list(self._sent) if event_id not in self._seen]
        if not pending:
            return ()
        ids = ", ".join(f"'{event_id}'" for event_id in pending)
        sql = f"SELECT event_id FROM events_log WHERE event_id IN ({ids})"  # noqa: S608 - our own ids
        found = [str(row[0]) for row in self._client.query(sql).result_rows]
        self._seen.update(found)
        return found

    def steps(self) -> list[float]:
        """Seconds from one question to the next."""
        return [b - a for a, b in zip(self.asked_at, self.asked_at[1:], strict=False)]


def measure_latency(servers: Servers, *, seconds: float, run: int) -> Section:
    """Single calls at a fixed rate over one connection, each due at its own time."""
    settings = installation(servers, f"latency-{run}")
    stream = traffic(_SEED, now=True)
    with (
        running_all(settings) as processes,
        connect(settings, settings.clickhouse.database) as client,
        tracking_client(settings, batch=1) as tracking,
    ):
        wait_until_opened(settings, processes)
        begun: Moments = {}
        accepted: Moments = {}
        states = _at_end(settings)
        asking = _Asking(client, begun)
        with _Seen(asking.look) as in_clickhouse, _Seen(lambda: _poll(states)) as in_state:
            count = _WARM_UP_EVENTS + round(seconds * _RATE)
            start = time.monotonic()
            for number, call in enumerate(islice(stream, count)):
                time.sleep(max(0.0, start + number / _RATE - time.monotonic()))
                event_id = str(call["messageId"])
                begun[event_id] = time.monotonic()
                tracking.send(call)
                accepted[event_id] = time.monotonic()
            for seen, where in ((in_clickhouse, "ClickHouse"), (in_state, "customer-state")):
                wait_until(
                    lambda seen=seen: seen.has(accepted),  # type: ignore[misc]
                    seconds=_PATIENCE_SECONDS,
                    what=f"all events are in {where}",
                )
        states.close()
    measured = list(accepted)[_WARM_UP_EVENTS:]
    step = median(asking.steps()) * 1000
    return Section(
        "Latency",
        f"Single calls at {_RATE} events/s for {seconds:g} s. ClickHouse is asked every "
        f"{step:.0f} ms (median), which is part of the load and of the figure; customer-state is "
        "read by a consumer of its own.",
        [
            _row("request → accepted (HTTP 200)", begun, accepted, measured),
            _row("accepted → in ClickHouse (SELECT)", accepted, in_clickhouse.moments, measured),
            _row("accepted → in customer-state", accepted, in_state.moments, measured),
        ],
    )


def _at_end(settings: Settings) -> Consumer:
    """A consumer of the customer states that are written from now on."""
    reader = consumer(settings, None, **{"fetch.wait.max.ms": 10})
    topic = prefixed(settings, CUSTOMER_STATE)
    numbers = range(settings.kafka.partitions)
    reader.assign([TopicPartition(topic, number, OFFSET_END) for number in numbers])
    return reader


def _poll(states: Consumer) -> list[str]:
    message = states.poll(0.1)
    value = None if message is None or message.error() else message.value()
    if value is None:
        return []
    return [entry.event_id for entry in CUSTOMER_STATE_CODEC.decode(value).timeline]


def _row(what: str, since: Moments, until: Moments, event_ids: Iterable[str]) -> Row:
    took = sorted((until[event_id] - since[event_id]) * 1000 for event_id in event_ids)
    cuts = quantiles(took, n=100, method="inclusive")
    return {
        "what": what,
        "events": len(took),
        "p50 ms": cuts[49],
        "p99 ms": cuts[98],
        "max ms": took[-1],
    }


MEASUREMENT: Final = Measurement(
    "latency",
    lambda run: [measure_latency(run.servers(), seconds=run.sizes.seconds, run=run.number)],
)
