"""
Compares the customers of one workspace, in a process of its own.

It reads `customer-state` itself, so that the API neither waits nor holds what is compared, and its
memory is given back when it ends. The question is one line of JSON on standard input, the answer
MessagePack on standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from customeros.processors.suggestions.record import Record, record_of_traits
from customeros.processors.suggestions.suggestion import Suggestion
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.sdk import LiveCopy
from customeros.sdk.lookup import values_of

# Of a workspace; the likeliest. More than people look through, and some 10 MB.
MAX_SUGGESTIONS: Final = 20_000
_READ_SECONDS: Final = 600.0
# Whoever serves or takes events goes first.
_NICENESS: Final = 10


class Question(msgspec.Struct, frozen=True):
    """
    Args:
        topic: that of the states, with its prefix. client: settings of librdkafka.
        consent: the purpose that a customer must have granted to be compared; None: anybody.
    """

    workspace: str
    topic: str
    client: dict[str, str]
    consent: str | None = None


class Compared(NamedTuple):
    """How many customers were compared, and the pairs, the surest first."""

    customers: int
    suggestions: list[Suggestion]


class Comparing:
    """
    Starts the process and waits for its answer; blocks.

    Raises:
        Unavailable: it found no broker, or died.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopped = False
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, workspace: str, consent: str | None) -> Compared:
        topic = prefixed(self._settings, STATES)
        question = Question(workspace, topic, self._settings.kafka_client, consent)
        command = [sys.executable, "-m", __name__]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            self._child = child
            if self._stopped:
                child.kill()
            assert child.stdin is not None  # noqa: S101 - both are pipes
            assert child.stdout is not None  # noqa: S101
            try:
                child.stdin.write(msgspec.json.encode(question) + b"\n")
                # It stays open: its end is what tells the child that nobody waits any more.
                child.stdin.flush()
                told = child.stdout.read()
            except BrokenPipeError:
                told = b""
        if child.returncode != 0:
            raise Unavailable("the comparison of customers")
        return msgspec.msgpack.decode(told, type=Compared)

    def stop(self) -> None:
        """End the process, and every later one at once."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()


def compare(states: Iterator[CustomerState], consent: str | None) -> Compared:
    """Who may be one person among active customers; all of *states* are of one workspace."""
    # Only here: an API that is never asked needs no string metrics.
    from customeros.processors.suggestions.suggest import suggest

    records = [record_of(state) for state in states if is_compared(state, consent)]
    return Compared(len(records), suggest(records)[:MAX_SUGGESTIONS])


def is_compared(state: CustomerState, consent: str | None) -> bool:
    """Whether the customer is there, and nothing they said or did not say forbids it."""
    if state.status is not Status.ACTIVE:
        return False
    given = None if consent is None else state.consent.get(consent)
    return consent is None or (given is not None and given.granted)


def record_of(state: CustomerState) -> Record:
    """Its traits, and its e-mail addresses and phone numbers as identifiers."""
    traits: dict[str, Any] = {n: msgspec.json.decode(t.value) for n, t in state.traits.items()}
    values: dict[str, list[str]] = defaultdict(list)
    for one in state.identifiers:
        if one.value is not None:
            values[one.type].append(one.value)
    return record_of_traits(
        state.customer_id, traits, emails=values["email"], phones=values["phone"]
    )


def answer(asked: BinaryIO, told: BinaryIO) -> None:
    """Read the question, and write the answer."""
    os.nice(_NICENESS)
    question = msgspec.json.decode(asked.readline(), type=Question)
    threading.Thread(target=_watch, args=(asked,), daemon=True).start()
    told.write(msgspec.msgpack.encode(compare(_states(question), question.consent)))


def _states(question: Question) -> Iterator[CustomerState]:
    with LiveCopy(question.topic, question.client) as copy:
        if not copy.wait_ready(_READ_SECONDS):
            raise Unavailable("kafka")
        yield from map(CUSTOMER_STATE.decode, values_of(copy, question.workspace))


def _watch(asked: BinaryIO) -> None:
    """End when nobody waits for the answer."""
    asked.read()
    os._exit(1)


if __name__ == "__main__":
    answer(sys.stdin.buffer, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    os._exit(0)  # past the thread that still waits on standard input
