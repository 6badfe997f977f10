"""Which state answers for an id or an identifier: a pure function of two compacted topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

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
    """The state that answers; `merged_from` is the id that was asked for when it is another."""

    state: CustomerState
    merged_from: str | None = None


class Customers:
    """
    Look-ups over copies of `customer-state` and `identity.assignments`.

    A record that cannot be decoded raises `Undecodable`.
    """

    def __init__(self, states: Copy, assignments: Copy) -> None:
        self._states = states
        self._assignments = assignments

    def by_id(self, workspace: str, asked: str) -> Found | None:
        """
        The state of a customer id; a merged one answers with its survivor, one hop away.

        Where the survivor has not arrived yet, the merged state itself: ask again.
        """
        state = self._state(workspace, asked)
        if state is None:
            return None
        survivor = self._survivor(state)
        return Found(state) if survivor is None else Found(survivor, merged_from=asked)

    def by_key(self, workspace: str, key: IdentifierKey) -> Found | None:
        """
        The state of the customer whom the identifier belongs to now.

        Without an assignment it stands alone, as its own customer. While an assignment is ahead
        of the state it leads to, the customer it came from answers.
        """
        raw = self._assignments.get(topic_key(workspace, key))
        own = customer_id(workspace, key)
        candidates = [own] if raw is None else [ASSIGNMENT.decode(raw).customer_id, own]
        states = [s for s in (self._state(workspace, c) for c in candidates) if s is not None]
        settled = (s if s.status is not Status.MERGED else self._survivor(s) for s in states)
        answer = next((s for s in settled if s is not None), states[0] if states else None)
        return None if answer is None else Found(answer)

    def active(self, workspace: str) -> Iterator[CustomerState]:
        """Everybody of this moment who is neither merged nor erased, in no order."""
        states = map(CUSTOMER_STATE.decode, values_of(self._states, workspace))
        return (state for state in states if state.status is Status.ACTIVE)

    def _state(self, workspace: str, asked: str) -> CustomerState | None:
        raw = self._states.get(topic_key(workspace, asked))
        return None if raw is None else CUSTOMER_STATE.decode(raw)

    def _survivor(self, state: CustomerState) -> CustomerState | None:
        """The state that `merged_into` names, if it is there and was not merged itself."""
        if state.status is not Status.MERGED or state.merged_into is None:
            return None
        survivor = self._state(state.workspace, state.merged_into)
        return survivor if survivor and survivor.status is not Status.MERGED else None
