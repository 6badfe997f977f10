"""Where can an event be seen by now? In the customer states, in ClickHouse, through the API."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.client import HTTPConnection
from typing import Final
from urllib.parse import quote

from clickhouse_connect.driver.client import Client
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from benchmarks.traffic import Call
from customeros.runtime.clients import consumer
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import CUSTOMER_STATE

_PROBE: Final = re.compile(rb"probe-\d{8}")
_MESSAGES: Final = 1_000
_ASKED_AT_ONCE: Final = 8

# What an event's id is to who may be asked for it: a path of the API.
Probes = Mapping[str, str]
Look = Callable[[Sequence[str]], Iterable[str]]


def probe_id(number: int) -> str:
    """An id that is found in a record or an answer without decoding it."""
    return f"probe-{number:08}"


def path_of(call: Call) -> str:
    """Where the API tells of the customer who did this."""
    kind = "user_id" if "userId" in call else "anonymous_id"
    value = call.get("userId") or call["anonymousId"]
    return f"/v1/customers/{kind}:{quote(value)}"


class Watcher:
    """
    Notes when each probe was first seen; looks in a thread of its own until the context ends.

    Args:
        look: given those not seen yet, says which can be seen; others in what it says are ignored.
        seconds: from one look to the next, at least.
    """

    def __init__(self, probes: Probes, look: Look, *, seconds: float) -> None:
        self.moments: dict[str, float] = {}
        self._probes, self._look, self._seconds = probes, look, seconds
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def pending(self) -> list[str]:
        """Those that it has not seen; raises what made it stop looking."""
        if self._failure is not None:
            raise self._failure
        return [probe for probe in list(self._probes) if probe not in self.moments]

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                found = {*self._look(self.pending())}
                now = time.monotonic()
                # Those that came while it looked too: it may have seen them for the only time.
                self.moments.update(dict.fromkeys(found.intersection(self.pending()), now))
                self._stop.wait(max(0.0, began + self._seconds - now))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._failure = error


def in_clickhouse(client: Client) -> Look:
    """
    A `SELECT` by id of the table under the view `events`.

    What is in one can be seen in the other, and the view's join would be most of the load.
    """

    def look(pending: Sequence[str]) -> Iterable[str]:
        if not pending:
            return ()
        ids = ", ".join(f"'{probe}'" for probe in pending)
        sql = f"SELECT event_id FROM events_log WHERE event_id IN ({ids})"  # noqa: S608 - our own ids
        return [str(row[0]) for row in client.query(sql).result_rows]

    return look


def in_states(reader: Consumer) -> Look:
    """Committed records of `customer-state`, of which each has the customer's last 50 events."""

    def look(_: Sequence[str]) -> Iterable[str]:
        first = reader.poll(0.1)
        if first is None:
            return ()
        values = [m.value() or b"" for m in (first, *reader.consume(_MESSAGES, timeout=0))]
        return {found.decode() for value in values for found in _PROBE.findall(value)}

    return look


def states_from_now_on(settings: Settings) -> Consumer:
    """A reader of the customer states that are written from now on."""
    reader = consumer(settings)
    topic = prefixed(settings, CUSTOMER_STATE)
    numbers = range(settings.kafka.partitions)
    reader.assign([TopicPartition(topic, number, OFFSET_END) for number in numbers])
    return reader


def in_api(connection: HTTPConnection, settings: Settings, probes: Probes) -> Look:
    """
    A `GET` of a probe's customer over a *connection* to the API.

    At each look a few are asked for in turn: to ask for all of them, where many wait, would be
    the load that makes them wait.
    """
    headers = {"Authorization": f"Bearer {read_secrets(settings).api_token}"}
    asked: dict[str, float] = {}

    def look(pending: Sequence[str]) -> Iterable[str]:
        longest_ago = sorted(pending, key=lambda probe: asked.get(probe, 0.0))[:_ASKED_AT_ONCE]
        asked.update(dict.fromkeys(longest_ago, time.monotonic()))
        return [probe for probe in longest_ago if probe.encode() in told(probes[probe])]

    def told(path: str) -> bytes:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read()

    return look
