"""Consumers that look on through all of it: versions as anybody would see them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Self

from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

from customeros.runtime.clients import consumer
from customeros.runtime.settings import Settings
from customeros.schemas.codec import ACCOUNT_STATE, ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATES
from customeros.schemas.topics import ASSIGNMENTS
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from support.chaos.machines import url_of
from support.chaos.verdict import Step

_TOPICS: Final[Mapping[str, Callable[[bytes], int]]] = {
    STATES.name: lambda raw: CUSTOMER_STATE.decode(raw).version,
    ASSIGNMENTS.name: lambda raw: ASSIGNMENT.decode(raw).version,
    ACCOUNT_STATES.name: lambda raw: ACCOUNT_STATE.decode(raw).version,
}
_POLL_SECONDS: Final = 0.2
_ASK_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 2.0


class Versions:
    """The newest version of each name that one consumer has seen, and every step back."""

    def __init__(self, name: str, *, repeats: bool) -> None:
        self._name = name
        self._repeats = repeats
        self._newest: dict[str, int] = {}
        self.steps_back: list[Step] = []

    def see(self, name: str, version: int) -> None:
        """It is this now; where *repeats* are told, each must be newer than the one before."""
        before = self._newest.get(name, -1)
        if version < before or (version == before and not self._repeats):
            self.steps_back.append(Step(self._name, name, before, version))
        self._newest[name] = max(before, version)


class Watchers:
    """
    A reader of committed records of the topics with versions, and one who asks the API.

    Args:
        asked: identifiers as `type:value`.
    """

    def __init__(self, settings: Settings, asked: Sequence[str]) -> None:
        self._settings = settings
        self._asked = asked
        self._topics = Versions("topics", repeats=False)
        self._api = Versions("api", repeats=True)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=watch, daemon=True) for watch in (self._read, self._ask)
        ]
        self.seen = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def steps_back(self) -> list[Step]:
        """Every one that any of them saw."""
        return [*self._topics.steps_back, *self._api.steps_back]

    def _read(self) -> None:
        reader = consumer(self._settings, None, **{"group.id": "watcher"})
        places = [
            TopicPartition(topic, partition, OFFSET_BEGINNING)
            for topic in _TOPICS
            for partition in range(self._settings.kafka.partitions)
        ]
        reader.assign(places)
        try:
            while not self._stopping.is_set():
                message = reader.poll(_POLL_SECONDS)
                if message is None or message.error() is not None or message.value() is None:
                    continue
                topic, value = message.topic() or "", message.value() or b""
                name = f"{topic} {(message.key() or b'').decode()}"
                self._topics.see(name, _TOPICS[topic](value))
                self.seen += 1
        finally:
            with suppress(KafkaException):
                reader.close()

    def _ask(self) -> None:
        number = 0
        while not self._stopping.wait(_ASK_SECONDS):
            found = asked_of_api(self._settings, self._asked[number % len(self._asked)])
            number += 1
            if found is not None:
                self._api.see(f"customer {found['customer_id']}", int(found["version"]))


def asked_of_api(settings: Settings, who: str) -> Any:
    """The JSON answer; None: it does not answer, or knows nobody."""
    token = settings.secrets.api_token
    assert token is not None
    connection = http.client.HTTPConnection(
        url_of(settings.api).removeprefix("http://"), timeout=_ANSWER_SECONDS
    )
    bearer = {"Authorization": f"Bearer {token.get_secret_value()}"}
    try:
        connection.request("GET", f"/v1/customers/{who}", headers=bearer)
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == http.HTTPStatus.OK else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
