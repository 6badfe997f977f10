"""Clients of the collector that remember exactly what they were told."""

from __future__ import annotations

import base64
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from support.chaos.traffic import Call

_ANSWER_SECONDS: Final = 12.0
_RETRY_SECONDS: Final = 0.3
_LARGEST_BATCH: Final = 25
# So many give up when the first try has failed, as a browser that is closed.
_GIVES_UP: Final = 0.1


class Told(NamedTuple):
    """
    What clients know in the end.

    Args:
        accepted: message ids that a 200 was said of.
        attempts: how often each message id was sent, whatever came of it.
    """

    accepted: frozenset[str]
    attempts: Counter[str]


class Clients:
    """
    Several connections, each sending its share of the calls, spread over some seconds.

    A request that is not answered with 200 is sent again with the same message ids, as SDKs do,
    until it is, but for a few that are given up.

    Args:
        keys: the write key of each source.
    """

    def __init__(
        self,
        url: str,
        keys: Mapping[str, str],
        calls: Sequence[tuple[str, Call]],
        *,
        seconds: float,
        seed: int,
        connections: int = 3,
    ) -> None:
        self._url = url
        self._keys = keys
        self._accepted: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._hopeless = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._send_all,
                args=(calls[number::connections], seconds, random.Random(f"{seed} {number}")),
                daemon=True,
            )
            for number in range(connections)
        ]

    def start(self) -> None:
        """Begin to send; returns at once."""
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Whether everything is accepted or given up."""
        return not any(thread.is_alive() for thread in self._threads)

    def give_up(self) -> None:
        """Send nothing again; returns when all have stopped."""
        self._hopeless.set()
        for thread in self._threads:
            thread.join()

    @property
    def told(self) -> Told:
        """What is known so far."""
        with self._lock:
            return Told(frozenset(self._accepted), self._attempts.copy())

    def _send_all(
        self, calls: Sequence[tuple[str, Call]], seconds: float, chance: random.Random
    ) -> None:
        batches = list(_batches(calls, chance))
        began = time.monotonic()
        for number, (source, batch) in enumerate(batches):
            due = began + seconds * number / len(batches)
            self._hopeless.wait(max(0.0, due - time.monotonic()))
            self._deliver(source, batch, chance)

    def _deliver(self, source: str, batch: Sequence[Call], chance: random.Random) -> None:
        ids = [call["messageId"] for call in batch]
        gives_up = chance.random() < _GIVES_UP
        while not self._hopeless.is_set():
            with self._lock:
                self._attempts.update(ids)
            if self._post(source, batch, chance) == 200:
                with self._lock:
                    self._accepted.update(ids)
                return
            if gives_up:
                return
            self._hopeless.wait(_RETRY_SECONDS)

    def _post(self, source: str, batch: Sequence[Call], chance: random.Random) -> int:
        """The answer's status; 0: there was none."""
        alone = len(batch) == 1 and chance.random() < 0.5
        path = f"/v1/{batch[0]['type']}" if alone else "/v1/batch"
        body = json.dumps(batch[0] if alone else {"batch": batch})
        key = base64.b64encode(f"{self._keys[source]}:".encode()).decode()
        headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(
            self._url.removeprefix("http://"), timeout=_ANSWER_SECONDS
        )
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
        return answer.status


def _batches(
    calls: Sequence[tuple[str, Call]], chance: random.Random
) -> list[tuple[str, list[Call]]]:
    """Calls of one source each, one or some at a time."""
    found = []
    by_source: dict[str, list[Call]] = {}
    for source, call in calls:
        by_source.setdefault(source, []).append(call)
    for source, own in by_source.items():
        at = 0
        while at < len(own):
            size = 1 if chance.random() < 0.3 else chance.randint(2, _LARGEST_BATCH)
            found.append((source, own[at : at + size]))
            at += size
    chance.shuffle(found)
    return found
