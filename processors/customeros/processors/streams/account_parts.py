"""What the organisations that events name are told, at the place that the events come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from customeros.processors.accounts.fold import fitted_part, fold_part
from customeros.processors.accounts.model import (
    NOBODY,
    Part,
    PartChange,
    encode_change,
    row_of,
)
from customeros.processors.profile.model import Fact
from customeros.processors.streams.identifier import Known
from customeros.processors.streams.learning import Learning
from customeros.runtime.stream import Output, State, struct_table
from customeros.schemas.topics import ACCOUNT_CONTRIBUTIONS, topic_key


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one identifier (or nobody) says of one account; `sequence` of the last change sent."""

    sequence: int
    part: Part


# By the account's row and the identifier's key, which is empty where the events name nobody.
PARTS: Final = struct_table("account_part", Told)


class Naming:
    """The events of a batch that name an organisation, by identifier and organisation."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, str], dict[str, list[Fact]]] = {}

    def learn(self, nid: str, fact: Fact) -> None:
        """Take an event that names an account and is keyed by *nid*, or by none (`NOBODY`)."""
        event = fact.event
        assert event.account_id is not None  # noqa: S101 - the caller looked
        accounts = self._facts.setdefault((event.workspace, nid), {})
        accounts.setdefault(event.account_id, []).append(fact)

    def told(self, state: State, learner: Learning, now: Known) -> list[Output]:
        """
        Keep and tell what the identifier says of each account, its record being *now*.

        It remembers the first accounts by id; one that others push out is told no more of it.
        """
        workspace, nid = learner.workspace, learner.nid
        named = self._facts.get((workspace, nid))
        if named is None:
            return []
        outputs = []
        for account, facts in named.items():
            if account in now.profile.accounts:
                row = row_of(workspace, account) + nid.encode()
                told = _kept(state, row, facts, sequence=now.sequence)
                change = PartChange(workspace, account, nid, now.customer_id, told.sequence)
                outputs.append(_telling(change, told))
        pushed_out = sorted(learner.accounts.keys() - now.profile.accounts.keys())
        return outputs + _left(state, workspace, nid, pushed_out, now.sequence)

    def told_by_nobody(self, state: State) -> Iterator[Output]:
        """The same of the events that name an organisation alone."""
        for (workspace, nid), accounts in self._facts.items():
            if nid != NOBODY:
                continue
            for account, facts in accounts.items():
                told = _kept(state, row_of(workspace, account), facts)
                yield _telling(PartChange(workspace, account, NOBODY, NOBODY, told.sequence), told)


def followed(state: State, workspace: str, nid: str, was: Known, now: Known) -> list[Output]:
    """What accounts are told of an identifier that belongs to another customer, or was erased."""
    accounts = was.profile.accounts
    if now.epoch != was.epoch:
        return _left(state, workspace, nid, accounts, now.sequence)
    return [
        _output(PartChange(workspace, account, nid, now.customer_id, now.sequence))
        for account in accounts
    ]


_NOTHING: Final = Told(0, Part())


def _left(
    state: State, workspace: str, nid: str, accounts: Iterable[str], sequence: int
) -> list[Output]:
    outputs = []
    for account in accounts:
        state.delete(PARTS, row_of(workspace, account) + nid.encode())
        outputs.append(_output(PartChange(workspace, account, nid, None, sequence)))
    return outputs


def _kept(state: State, row: bytes, facts: list[Fact], *, sequence: int | None = None) -> Told:
    """Fold *facts* at *row*; without a *sequence* it counts by itself."""
    known = state.get(PARTS, row) or _NOTHING
    part = fold_part(known.part, facts)
    told = Told(known.sequence + 1 if sequence is None else sequence, part)
    state.put(PARTS, row, told)
    return told


def _telling(change: PartChange, told: Told) -> Output:
    return _output(msgspec.structs.replace(change, part=fitted_part(told.part)))


def _output(change: PartChange) -> Output:
    key = topic_key(change.workspace, change.account_id)
    return Output(ACCOUNT_CONTRIBUTIONS, key, encode_change(change))
