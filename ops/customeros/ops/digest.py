"""One hash over who is who and what is known: equal for equal sets of events, whatever the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.identifier import IdentifierKey, customer_id
from customeros.schemas.identity import Assignment
from customeros.schemas.topics import ASSIGNMENTS
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.sdk import LiveCopy

_READ_SECONDS: Final = 600.0


class Digest(NamedTuple):
    """What was hashed, and the hash."""

    customers: int
    moved: int
    value: str


def digest(states: Iterable[CustomerState], assignments: Iterable[Assignment]) -> Digest:
    """
    The hash over live and erased customers and over identifiers that are not their own customer.

    What depends on the way is left out: versions, and the customers that were merged away, since
    which of them there ever were depends on the order of arrival.
    """
    known = sorted(
        f"{s.workspace}|{s.customer_id}|{s.status}|{s.digest}"
        for s in states
        if s.status is not Status.MERGED
    )
    moved = sorted(
        f"{a.workspace}|{a.key}|{a.customer_id}"
        for a in assignments
        if a.customer_id != customer_id(a.workspace, IdentifierKey(a.key), a.epoch)
    )
    hashed = hashlib.blake2b(digest_size=32)
    for line in (*known, "", *moved):
        hashed.update(line.encode() + b"\n")
    return Digest(len(known), len(moved), hashed.hexdigest())


def read_digest(settings: Settings) -> Digest:
    """
    The digest of what the topics hold now; stages that are behind change it when they catch up.

    Raises:
        Unavailable: the broker does not answer.
    """
    with (
        LiveCopy(prefixed(settings, CUSTOMER_STATE_TOPIC), settings.kafka_client) as states,
        LiveCopy(prefixed(settings, ASSIGNMENTS), settings.kafka_client) as assignments,
    ):
        for copy in (states, assignments):
            if not copy.wait_ready(_READ_SECONDS):
                raise Unavailable("kafka")
        return digest(
            map(CUSTOMER_STATE.decode, _values(states)),
            map(ASSIGNMENT.decode, _values(assignments)),
        )


def _values(copy: LiveCopy) -> Iterator[bytes]:
    return (value for key in copy if (value := copy.get(key)) is not None)
