"""Where can an event be seen by now? In the customer states, in ClickHouse, through the API."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.client import HTTPConnection
from typing import Final, NamedTuple
from urllib.parse import quote

from clickhouse_connect.driver.client import Client
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from benchmarks.traffic import Call
from customeros.runtime.clients import consumer
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import CUSTOMER_STATE
from customeros.sdk.versions import version_of

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


class Told(NamedTuple):
    """The first record of `customer-state` that told of a probe."""

    customer_id: str
    version: int


def in_states(reader: Consumer, told: dict[str, Told]) -> Look:
    """
    Committed records of `customer-state`, of which each has the customer's last 50 events.

    Args:
        told: takes down which record that was, by probe.
    """

    def look(_: Sequence[str]) -> Iterable[str]:
        first = reader.poll(0.1)
        if first is None:
            return ()
        seen: set[str] = set()
        for message in (first, *reader.consume(_MESSAGES, timeout=0)):
            value = message.value() or b""
            for found in map(bytes.decode, _PROBE.findall(value)):
                seen.add(found)
                if found not in told:
                    customer_id = (message.key() or b"").decode().partition("/")[2]
                    told[found] = Told(customer_id, version_of(value))
        return seen

    return look


def in_customers(client: Client, told: Mapping[str, Told]) -> Look:
    """A `SELECT` by id of the table under the view `customers`: has it what *told*, or newer?"""

    def look(pending: Sequence[str]) -> Iterable[str]:
        asked = [probe for probe in pending if probe in told]
        if not asked:
            return ()
        ids = ", ".join(f"'{told[probe].customer_id}'" for probe in asked)
        sql = (
            "SELECT customer_id, max(version) FROM customers_log"  # noqa: S608 - our own ids
            f" WHERE workspace = 'default' AND customer_id IN ({ids}) GROUP BY ALL"
        )
        newest = {str(row[0]): int(row[1]) for row in client.query(sql).result_rows}
        return [p for p in asked if newest.get(told[p].customer_id, -1) >= told[p].version]

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
