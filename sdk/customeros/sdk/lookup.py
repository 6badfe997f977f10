"""Which state answers for an id or an identifier: a pure function of two compacted topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.identifier import IdentifierKey, customer_id
from customeros.schemas.topics import topic_key


class Copy(Protocol):
    """Raw values by key: a `LiveCopy`, or a dict."""

    def get(self, key: bytes, /) -> bytes | None: ...

    def __iter__(self) -> Iterator[bytes]: ...


def values_of(copy: Copy, workspace: str) -> Iterator[bytes]:
    """The values of one workspace's keys, of this moment, in no order."""
    start = topic_key(workspace, "")
    for key in copy:
        raw = copy.get(key) if key.startswith(start) else None
        if raw is not None:
            yield raw


class Found(NamedTuple):
    """
    The record that answers, and what its customer has become.

    Args:
        merged_from: the id that was asked for when it is another.
    """

    record: bytes
    status: Status
    merged_from: str | None = None

    @property
    def state(self) -> CustomerState:
        """What the record says, decoded each time; raises Undecodable."""
        return CUSTOMER_STATE.decode(self.record)


class Customers:
    """
    Look-ups over copies of `customer-state` and `identity.assignments`.

    Of a record only the first fields are read; where these cannot be, that raises `Undecodable`.
    """

    def __init__(self, states: Copy, assignments: Copy) -> None:
        self._states = states
        self._assignments = assignments

    def by_id(self, workspace: str, asked: str) -> Found | None:
        """
        The state of a customer id; a merged one answers with its survivor, one hop away.

        Where the survivor has not arrived yet, the merged state itself: ask again.
        """
        held = self._held(workspace, asked)
        if held is None:
            return None
        survivor = self._survivor(held)
        return held.found() if survivor is None else survivor.found(merged_from=asked)

    def by_key(self, workspace: str, key: IdentifierKey) -> Found | None:
        """
        The state of the customer whom the identifier belongs to now.

        Without an assignment it stands alone, as its own customer. While an assignment is ahead
        of the state it leads to, the customer it came from answers.
        """
        merging = None
        for candidate in self._candidates(workspace, key):
            held = self._held(workspace, candidate)
            settled = held and (self._survivor(held) if held.merged else held)
            if settled is not None:
                return settled.found()
            merging = merging or held
        return None if merging is None else merging.found()

    def active(self, workspace: str) -> Iterator[CustomerState]:
        """Everybody of this moment who is neither merged nor erased, in no order."""
        states = map(CUSTOMER_STATE.decode, values_of(self._states, workspace))
        return (state for state in states if state.status is Status.ACTIVE)

    def _candidates(self, workspace: str, key: IdentifierKey) -> Iterator[str]:
        """Whom the identifier may belong to, the likeliest first."""
        raw = self._assignments.get(topic_key(workspace, key))
        if raw is not None:
            yield ASSIGNMENT.decode(raw).customer_id
        yield customer_id(workspace, key)

    def _held(self, workspace: str, asked: str) -> _Held | None:
        record = self._states.get(topic_key(workspace, asked))
        return None if record is None else _Held(record, _read_head(record))

    def _survivor(self, held: _Held) -> _Held | None:
        """The state that `merged_into` names, if it is there and was not merged itself."""
        if not held.merged or held.head.merged_into is None:
            return None
        survivor = self._held(held.head.workspace, held.head.merged_into)
        return survivor if survivor and not survivor.merged else None


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first fields of a `CustomerState`: enough to say who answers."""

    workspace: str
    customer_id: str
    version: int
    status: Status
    merged_into: str | None


_read_head: Final = CUSTOMER_STATE.head(_Head)


class _Held(NamedTuple):
    record: bytes
    head: _Head

    @property
    def merged(self) -> bool:
        return self.head.status is Status.MERGED

    def found(self, *, merged_from: str | None = None) -> Found:
        return Found(self.record, self.head.status, merged_from)
