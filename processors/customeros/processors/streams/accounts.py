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
from customeros.processors.accounts.total import Held, Total, added, bucket_of, total_of
from customeros.processors.streams.tombstones import Tombstones
from customeros.runtime.stream import Batch, Output, State, Table, struct_table
from customeros.schemas.account import AccountState, AccountStatus
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
        buckets: those with a total, ascending, a byte each.
        children: how many accounts name it as their parent.
        told_parent: whom it told that it is its child.
        forget_at: when its tombstone is due, ms; 0: never.
    """

    version: int = 0
    digest: str = ""
    buckets: bytes = b""
    children: int = 0
    told_parent: str | None = None
    forget_at: int = 0


def _utf8(text: str) -> bytes:
    return text.encode()


def _text(data: bytes) -> str:
    return data.decode()


# An account's row is 16 bytes, a bucket is one.
ACCOUNTS: Final = struct_table("account", Account)
# By row and identifier key: whose the identifier is.
OWNERS: Final = Table("account_owner", _utf8, _text)
# By row, bucket and identifier key.
PARTS: Final = struct_table("account_part", Held)
# By row and bucket.
TOTALS: Final = struct_table("account_total", Total)
# By row and the child's id, which is the value too.
CHILDREN: Final = Table("account_child", _utf8, _text)
TOMBSTONES: Final = Tombstones("account_tombstone")


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
        self._state = state
        self._buckets: dict[bytes, dict[str, Held]] = {}
        self._changed: set[bytes] = set()

    def take(self, change: PartChange | ChildChange) -> None:
        if isinstance(change, ChildChange):
            self._take_child(change)
        else:
            self._take_part(change)

    def settled(self, now: int) -> Iterator[Output]:
        """Keep the account; its record, if it says anything new, and what its parent is told."""
        total, buckets = self._total()
        found = account_state(
            self.workspace,
            self.account_id,
            total,
            children=self._first_children(),
            child_count=self.children,
        )
        was = self.was
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
            yield self._record(key, msgspec.structs.replace(found, version=version))
            due = now + DELETED_MS if found.status is AccountStatus.DELETED else 0
            forget_at = TOMBSTONES.plan(self._state, key, planned=was.forget_at, due=due)
        after = Account(version, found.digest, buckets, self.children, told_parent, forget_at)
        if after != was:
            self._state.put(ACCOUNTS, self.row, after)

    def _take_part(self, change: PartChange) -> None:
        place = self.row + change.nid.encode()
        owner = self._state.get(OWNERS, place)
        before = None if owner is None else self._held(owner).get(change.nid)
        if before is not None and change.sequence <= before.sequence:
            return
        part = change.part if change.part is not None or before is None else before.part
        if owner is not None and owner != change.customer_id:
            self._keep(owner, change.nid, None)
        if change.customer_id is None:
            self._state.delete(OWNERS, place)
        elif part is not None:
            held = Held(change.customer_id, change.sequence, part)
            self._keep(change.customer_id, change.nid, held)
            if owner != change.customer_id:
                self._state.put(OWNERS, place, change.customer_id)

    def _take_child(self, change: ChildChange) -> None:
        row = self.row + change.child.encode()
        there = self._state.get(CHILDREN, row) is not None
        if change.on and not there:
            self._state.put(CHILDREN, row, change.child)
        elif there and not change.on:
            self._state.delete(CHILDREN, row)
        self.children += change.on - there

    def _held(self, customer_id: str) -> dict[str, Held]:
        """The parts of the customer's bucket, by identifier key."""
        bucket = self.row + bytes((bucket_of(customer_id),))
        if bucket not in self._buckets:
            self._buckets[bucket] = {
                key[len(bucket) :].decode(): held for key, held in self._state.scan(PARTS, bucket)
            }
        return self._buckets[bucket]

    def _keep(self, customer_id: str, nid: str, held: Held | None) -> None:
        parts = self._held(customer_id)
        bucket = self.row + bytes((bucket_of(customer_id),))
        self._changed.add(bucket)
        if held is None:
            del parts[nid]
            self._state.delete(PARTS, bucket + nid.encode())
        else:
            parts[nid] = held
            self._state.put(PARTS, bucket + nid.encode(), held)

    def _total(self) -> tuple[Total, bytes]:
        """The account's total, and the buckets that have one."""
        found = set(self.was.buckets)
        for bucket in sorted(self._changed):
            total = total_of(self._buckets[bucket])
            if total.parts:
                self._state.put(TOTALS, bucket, total)
                found.add(bucket[-1])
            else:
                self._state.delete(TOTALS, bucket)
                found.discard(bucket[-1])
        buckets = bytes(sorted(found))
        rows = [self.row + bytes((number,)) for number in buckets]
        return added(self._state.get_many(TOTALS, rows).values()), buckets

    def _first_children(self) -> list[str]:
        if not self.children:
            return []
        return [child for _, child in self._state.scan(CHILDREN, self.row, limit=SUBSIDIARIES)]

    def _child_of(self, parent: str, *, on: bool) -> Output:
        change = ChildChange(self.workspace, parent, self.account_id, on)
        return Output(
            ACCOUNT_CONTRIBUTIONS, topic_key(self.workspace, parent), encode_change(change)
        )

    def _record(self, key: bytes, found: AccountState) -> Output:
        return Output(ACCOUNT_STATE_TOPIC, key, ACCOUNT_STATE.encode(found))


_NEW: Final = Account()
