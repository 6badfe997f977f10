"""Add up what identifiers say of organisations; one record per change of an organisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from customeros.processors.accounts.account import SUBSIDIARIES, account_state, parent_of
from customeros.processors.accounts.model import (
    ChildChange,
    PartChange,
    decode_change,
    encode_change,
    row_of,
)
from customeros.processors.profile.entries import encoder
from customeros.processors.streams.account_totals import Parts, text_table
from customeros.processors.streams.tombstones import Tombstones
from customeros.runtime.stream import Batch, Output, State, struct_table
from customeros.schemas.account import AccountStatus
from customeros.schemas.codec import ACCOUNT_STATE
from customeros.schemas.topics import ACCOUNT_CONTRIBUTIONS, Topic, topic_key
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC

# A deleted account says so for a week, as a merged customer does.
DELETED_MS: Final = 7 * 86_400_000


class Account(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    What the stage keeps of an account besides its parts.

    Args:
        version, digest: of the newest record.
        crowded: it has totals, since it once had many parts.
        children: how many accounts name it as their parent.
        told_parent: whom it told that it is its child.
        forget_at: when its tombstone is due, ms; 0: never.
    """

    version: int = 0
    digest: str = ""
    crowded: bool = False
    children: int = 0
    told_parent: str | None = None
    forget_at: int = 0


# By row (16 bytes).
ACCOUNTS: Final = struct_table("account", Account)
# By row and the child's id, which is the value too.
CHILDREN: Final = text_table("account_child")
TOMBSTONES: Final = Tombstones("account_tombstone")
_encode: Final = encoder(ACCOUNT_STATE)


class AccountStates:
    """The part of the stage `state` that is keyed by account."""

    sources: Final[Mapping[Topic, Callable[[bytes], Any]]] = {ACCOUNT_CONTRIBUTIONS: decode_change}

    def handle(self, state: State, batch: Batch) -> Iterable[Output]:
        outputs = [
            Output(ACCOUNT_STATE_TOPIC, key, None) for key in TOMBSTONES.due(state, batch.now)
        ]
        touched: dict[bytes, _Touched] = {}
        for record in batch.records:
            change: PartChange | ChildChange | None = record.value
            if change is not None:
                key = topic_key(change.workspace, change.account_id)
                if key not in touched:
                    touched[key] = _Touched(state, change.workspace, change.account_id)
                touched[key].take(change)
        for each in touched.values():
            outputs.extend(each.settled(batch.now))
        return outputs


class _Touched:
    """An account while one batch is folded."""

    def __init__(self, state: State, workspace: str, account_id: str) -> None:
        self.workspace = workspace
        self.account_id = account_id
        self.row = row_of(workspace, account_id)
        self.was = state.get(ACCOUNTS, self.row) or _NEW
        self.children = self.was.children
        self._parts = Parts(state, self.row, crowded=self.was.crowded)
        self._state = state

    def take(self, change: PartChange | ChildChange) -> None:
        if isinstance(change, ChildChange):
            self._take_child(change)
        else:
            self._parts.take(change)

    def settled(self, now: int) -> Iterator[Output]:
        """Keep the account; its record, if it says anything new, and what its parent is told."""
        total = self._parts.total()
        listed = account_state(
            self.workspace,
            self.account_id,
            total,
            children=self._first_children(),
            child_count=self.children,
        )
        found, was = listed.state, self.was
        told_parent = parent_of(self.account_id, total)
        if told_parent != was.told_parent:
            for parent, on in ((was.told_parent, False), (told_parent, True)):
                if parent is not None:
                    yield self._child_of(parent, on=on)
        key = topic_key(self.workspace, self.account_id)
        if not total.parts and not self.children:
            TOMBSTONES.plan(self._state, key, planned=was.forget_at, due=0)
            self._state.delete(ACCOUNTS, self.row)
            if was.version:
                yield Output(ACCOUNT_STATE_TOPIC, key, None)
            return
        version, forget_at = was.version, was.forget_at
        if found.digest != was.digest:
            version = max(was.version + 1, now)
            yield Output(ACCOUNT_STATE_TOPIC, key, _encode(listed, version))
            due = now + DELETED_MS if found.status is AccountStatus.DELETED else 0
            forget_at = TOMBSTONES.plan(self._state, key, planned=was.forget_at, due=due)
        crowded = self._parts.crowded
        after = Account(version, found.digest, crowded, self.children, told_parent, forget_at)
        if after != was:
            self._state.put(ACCOUNTS, self.row, after)

    def _take_child(self, change: ChildChange) -> None:
        row = self.row + change.child.encode()
        there = self._state.get(CHILDREN, row) is not None
        if change.on and not there:
            self._state.put(CHILDREN, row, change.child)
        elif there and not change.on:
            self._state.delete(CHILDREN, row)
        self.children += change.on - there

    def _first_children(self) -> list[str]:
        if not self.children:
            return []
        return [child for _, child in self._state.scan(CHILDREN, self.row, limit=SUBSIDIARIES)]

    def _child_of(self, parent: str, *, on: bool) -> Output:
        change = ChildChange(self.workspace, parent, self.account_id, on)
        return Output(
            ACCOUNT_CONTRIBUTIONS, topic_key(self.workspace, parent), encode_change(change)
        )


_NEW: Final = Account()
