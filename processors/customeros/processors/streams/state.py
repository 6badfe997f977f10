"""Merge what identifiers contribute into one state per customer; one record per change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from customeros.processors.profile.customer import Member, customer_state, retired_state
from customeros.processors.profile.entries import Listed, encoder
from customeros.processors.profile.model import Change, Profile, Told, decode_change
from customeros.processors.streams.accounts import AccountStates
from customeros.processors.streams.merges import Merges
from customeros.processors.streams.tombstones import Tombstones
from customeros.runtime.config import Config
from customeros.runtime.stream import Batch, Output, State, struct_table
from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.identifier import IdentifierKey, IdentifierRules, customer_id
from customeros.schemas.topics import CONTRIBUTIONS, Topic, topic_key
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC

# A merged customer says where it went for a week: longer than caches and open browser tabs last.
MERGED_MS: Final = 7 * 86_400_000


class Customer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    What the stage keeps of one customer besides its members' contributions.

    Args:
        version, digest: of the newest record.
        since: sum of the members' assignment versions in it; changes when any of them moves.
        members: their keys, in ascending order.
        anchor_in: where the identifier went that gave the customer its id; None: nowhere else.
        member_in: where the member that left last went.
        forget_at: when its tombstone is due, ms; 0: never.
    """

    version: int = 0
    digest: str = ""
    since: int = 0
    members: tuple[str, ...] = ()
    anchor_in: str | None = None
    member_in: str | None = None
    forget_at: int = 0


CUSTOMERS: Final = struct_table("customer", Customer)
# By customer key, slash, identifier key.
MEMBERS: Final = struct_table("member", Member)
TOMBSTONES: Final = Tombstones("tombstone")
_encode: Final = encoder(CUSTOMER_STATE)


class StateProcessor:
    """
    The stage `state`, keyed by customer, and by account where `AccountStates` decides.

    Args:
        rules: by workspace; one that is not named has the default rules.
    """

    stage: Final = "state"
    sources: Final[Mapping[Topic, Callable[[bytes], Any]]] = {
        CONTRIBUTIONS: decode_change,
        **AccountStates.sources,
    }

    def __init__(self, rules: Mapping[str, IdentifierRules]) -> None:
        self._rules = rules
        self._accounts = AccountStates()
        self._merges = Merges()

    def handle(self, state: State, batches: Sequence[Batch]) -> Iterable[Output]:
        for batch in batches:
            if batch.topic in self._accounts.sources:
                yield from self._accounts.handle(state, batch)
            else:
                yield from self._merged(state, batch)

    def _merged(self, state: State, batch: Batch) -> list[Output]:
        outputs = _forgotten(state, batch.now)
        changes: dict[bytes, list[Told]] = {}
        for record in batch.records:
            told: Told | None = record.value
            if told is not None:
                key = topic_key(told.change.workspace, told.change.customer_id)
                changes.setdefault(key, []).append(told)
        customers = state.get_many(CUSTOMERS, changes)
        touched = {
            key: _Touched(key, said, customers.get(key, _NEW), self._merges)
            for key, said in changes.items()
        }
        members = state.get_many(MEMBERS, [row for t in touched.values() for row in t.rows()])
        for each in touched.values():
            each.fold(members)
            rules = self._rules.get(each.workspace, _DEFAULT_RULES)
            outputs.extend(each.settled(state, rules, batch.now))
        return outputs


def build_state(config: Config) -> StateProcessor:
    """The stage as *config* has its workspaces."""
    return StateProcessor({w.name: w.identifiers for w in config.workspaces.values()})


_NEW: Final = Customer()
_DEFAULT_RULES: Final = IdentifierRules()


class _Touched:
    """A customer while one batch is folded."""

    def __init__(self, key: bytes, changes: list[Told], was: Customer, merges: Merges) -> None:
        self.key = key
        self.workspace = changes[0].change.workspace
        self.customer_id = changes[0].change.customer_id
        self.was = was
        self.changes = changes
        self.fresh: dict[str, Profile] = {}
        self.members: dict[str, Member] = {}
        self.written: dict[str, Member | None] = {}
        self.anchor_in = was.anchor_in
        self.member_in = was.member_in
        self._merges = merges

    def rows(self) -> list[bytes]:
        """Keys of the members' rows, those included that may become members."""
        nids = {*self.was.members, *(told.change.nid for told in self.changes)}
        return [self.row(nid) for nid in nids]

    def row(self, nid: str) -> bytes:
        return self.key + b"/" + nid.encode()

    def fold(self, rows: Mapping[bytes, Member]) -> None:
        """Apply the changes: for each identifier the newest one counts."""
        for nid in self.was.members:
            self.members[nid] = rows[self.row(nid)]
        for change, profile in self.changes:
            at = (change.assignment_version, change.sequence)
            known = self.members.get(change.nid)
            if known is not None and at <= (known.assignment_version, known.sequence):
                continue
            if change.contribution is None:
                self._leave(change)
            else:
                member = Member(*at, change.contribution, change.limit)
                self.members[change.nid] = self.written[change.nid] = member
                self.fresh[change.nid] = profile
                if self.anchor_in is not None and self._is_anchor(change):
                    self.anchor_in = None

    def settled(self, state: State, rules: IdentifierRules, now: int) -> list[Output]:
        """Keep the customer; its new record, if it says anything new."""
        for nid, member in self.written.items():
            if member is None:
                state.delete(MEMBERS, self.row(nid))
            else:
                state.put(MEMBERS, self.row(nid), member)
        listed = self._state(rules)
        found = listed.state
        was = self.was
        since = sum(member.assignment_version for member in self.members.values())
        outputs = []
        version, forget_at = was.version, was.forget_at
        if (found.digest, since) != (was.digest, was.since):
            version = max(was.version + 1, now)
            outputs.append(Output(CUSTOMER_STATE_TOPIC, self.key, _encode(listed, version)))
            due = now + MERGED_MS if found.status is Status.MERGED else 0
            forget_at = TOMBSTONES.plan(state, self.key, planned=was.forget_at, due=due)
        if found.status is Status.ERASED:
            state.delete(CUSTOMERS, self.key)
            return [*outputs, Output(CUSTOMER_STATE_TOPIC, self.key, None)]
        after = Customer(
            version=version,
            digest=found.digest,
            since=since,
            members=tuple(sorted(self.members)),
            anchor_in=self.anchor_in,
            member_in=self.member_in,
            forget_at=forget_at,
        )
        if after != was:
            state.put(CUSTOMERS, self.key, after)
        return outputs

    def _leave(self, change: Change) -> None:
        if self.members.pop(change.nid, None) is not None:
            self.written[change.nid] = None
        if self._is_anchor(change):
            self.anchor_in = change.moved_to
        self.member_in = change.moved_to

    def _is_anchor(self, change: Change) -> bool:
        own = customer_id(change.workspace, IdentifierKey(change.nid), change.epoch)
        return own == change.customer_id

    def _state(self, rules: IdentifierRules) -> Listed[CustomerState]:
        if self.members:
            return customer_state(
                self.workspace, self.customer_id, self.members, rules, self._profile
            )
        self._merges.forget(self.key)
        merged_into = self.anchor_in or self.member_in
        return retired_state(self.workspace, self.customer_id, merged_into=merged_into)

    def _profile(self, shown: Mapping[str, Member]) -> Profile:
        return self._merges.profile(self.key, shown, self.fresh)


def _forgotten(state: State, now: int) -> list[Output]:
    """Tombstones of the customers merged long enough ago."""
    outputs = []
    for key in TOMBSTONES.due(state, now):
        state.delete(CUSTOMERS, key)
        outputs.append(Output(CUSTOMER_STATE_TOPIC, key, None))
    return outputs
