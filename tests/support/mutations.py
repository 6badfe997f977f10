"""Mistakes that would cost data, to be planted in the product: the tests catch each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from customeros.processors.identity import fold as folding
from customeros.processors.identity import graph
from customeros.processors.identity import resolve as resolving
from customeros.processors.identity import settle as settling
from customeros.processors.identity.draft import Draft
from customeros.processors.identity.fold import Fold
from customeros.processors.identity.rules import Rules
from customeros.processors.profile import customer
from customeros.processors.profile.model import ConsentMark
from customeros.processors.streams import changes
from customeros.processors.streams import resolve as resolve_stage
from customeros.processors.streams.graph import StoredGraph
from customeros.processors.streams.identifier import Known
from customeros.runtime.stream.fold import PartitionFold
from customeros.runtime.stream.memory import InMemoryBroker, InMemoryWorker
from customeros.schemas.identity import Cut, Join
from support.promises import (
    ALL_ALONG,
    ARRIVAL,
    CRASH,
    ERASURE,
    JOIN,
    REPLAY,
    SPLIT,
    SUPERNODE,
    Promise,
)

Plant = Callable[[pytest.MonkeyPatch], None]


class Mutation(NamedTuple):
    """
    Args:
        name: of `pytest --mutation`.
        promise: that it breaks.
    """

    name: str
    promise: Promise
    plant: Plant


def _outputs_before_the_transaction(patch: pytest.MonkeyPatch) -> None:
    advance = InMemoryWorker._advance

    def eager(worker: InMemoryWorker, now: int) -> bool:
        was_open = worker._sealed is None
        moved = advance(worker, now)
        if was_open and worker._sealed is not None:
            _send(worker, worker._sealed.outputs, now)
            worker._sealed = worker._sealed._replace(outputs=())
        return moved

    patch.setattr(InMemoryWorker, "_advance", eager)


def _outputs_after_the_transaction(patch: pytest.MonkeyPatch) -> None:
    """A crash between the two loses them, and their input is skipped when it comes again."""
    advance = InMemoryWorker._advance

    def late(worker: InMemoryWorker, now: int) -> bool:
        sealed, committed = worker._sealed, worker._committed_to
        if sealed is not None and committed is None:
            worker._sealed = sealed._replace(outputs=())
            moved = advance(worker, now)
            worker._sealed = sealed
            return moved
        moved = advance(worker, now)
        if sealed is not None:
            _send(worker, sealed.outputs, now)
        return moved

    patch.setattr(InMemoryWorker, "_advance", late)


def _send(worker: InMemoryWorker, outputs: Sequence[Any], now: int) -> None:
    for output in outputs:
        worker._broker.produce(output.topic, output.key, output.value, now)


def _no_fencing(patch: pytest.MonkeyPatch) -> None:
    commit = InMemoryBroker.commit

    def unfenced(broker: InMemoryBroker, name: str, _epoch: int, *rest: Any) -> Any:
        return commit(broker, name, broker._epochs[name], *rest)

    patch.setattr(InMemoryBroker, "commit", unfenced)


def _input_folded_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PartitionFold, "watermark", lambda *_: -1)


def _duplicates_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        resolve_stage, "first_time", lambda _state, _batch, events, **_: [True] * len(events)
    )


def _clock_of_arrival(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StoredGraph, "clock", lambda _: 0)


def _limit_in_order_of_arrival(patch: pytest.MonkeyPatch) -> None:
    """Who is joined stays so, whatever better evidence comes."""
    resolve = settling._Region.resolve

    def first_come(region: Any, causes: Any, *, around: bool = False) -> bool:
        return around and resolve(region, causes, around=True)

    patch.setattr(settling._Region, "resolve", first_come)


def _best_evidence_by_arrival(patch: pytest.MonkeyPatch) -> None:
    """What came first about a pair is all that is kept."""
    patch.setattr(folding, "with_proof", lambda proofs, new: proofs or (new,))


def _order_of_evidence_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(resolving, "_rank", lambda edge: edge.pair)


def _cut_forgotten(patch: pytest.MonkeyPatch) -> None:
    """It parts whom it finds together, and what comes later joins them again."""
    named = Draft.cuts_naming

    def just_made(draft: Draft, keys: Iterable[str]) -> list[Cut]:
        return [cut for cut in named(draft, keys) if cut.cut_id in draft.changed_cuts]

    patch.setattr(Draft, "cuts_naming", just_made)


def _undone_cut_in_force(patch: pytest.MonkeyPatch) -> None:
    cut = Fold.cut
    patch.setattr(Fold, "cut", lambda fold, said: cut(fold, said) if said.on else None)


def _undone_join_in_force(patch: pytest.MonkeyPatch) -> None:
    join = Fold.join

    def only_made(fold: Fold, said: Join) -> None:
        if said.on:
            join(fold, said)

    patch.setattr(Fold, "join", only_made)


def _quarantine_by_arrival(patch: pytest.MonkeyPatch) -> None:
    """What was joined before there were too many neighbours stays joined."""
    bound = Fold.bound

    def from_now_on(fold: Fold, key: str, cause: str) -> None:
        losses = dict(fold.losses)
        bound(fold, key, cause)
        fold.losses = losses

    patch.setattr(Fold, "bound", from_now_on)


def _no_quarantine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rules, "degree", lambda *_: 10**6)


def _rules_for_new_evidence_alone(patch: pytest.MonkeyPatch) -> None:
    """Who is not spoken of any more stays as the rules before had it."""
    patch.setattr(graph, "swept", lambda _, in_force: msgspec.structs.replace(in_force, sweep=None))


def _no_merge_protection(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rules, "limit", lambda *_: None)


def _customer_named_by_key(patch: pytest.MonkeyPatch) -> None:
    for module in (resolving, settling):
        patch.setattr(module, "anchor_of", lambda members, _: min(members))


def _consent_widened(patch: pytest.MonkeyPatch) -> None:
    def widest(members: Sequence[dict[str, ConsentMark]]) -> dict[str, ConsentMark]:
        found: dict[str, ConsentMark] = {}
        for consent in members:
            for purpose, mark in consent.items():
                known = found.get(purpose, mark)
                found[purpose] = min(mark, known, key=lambda m: (m.refused, m))
        return found

    patch.setattr(customer, "merge_consent", widest)


def _history_left_behind(patch: pytest.MonkeyPatch) -> None:
    """Who moves brings nothing along."""
    patch.setattr(changes, "contributed", lambda _workspace, _nid, known: (known, []))


def _erased_but_kept(patch: pytest.MonkeyPatch) -> None:
    forgotten = changes.forgotten

    def kept(known: Known, assignment: Any) -> Known:
        anew = forgotten(known, assignment)
        return Known(
            **{
                **{name: getattr(anew, name) for name in Known.__struct_fields__},
                **{"value": known.value, "first": known.first, "profile": known.profile},
            }
        )

    patch.setattr(changes, "forgotten", kept)


MUTATIONS: Final = (
    Mutation("outputs-before-the-transaction", CRASH, _outputs_before_the_transaction),
    Mutation("outputs-after-the-transaction", CRASH, _outputs_after_the_transaction),
    Mutation("no-fencing", CRASH, _no_fencing),
    Mutation("input-folded-again", REPLAY, _input_folded_again),
    Mutation("duplicates-counted", ARRIVAL, _duplicates_counted),
    Mutation("clock-of-arrival", CRASH, _clock_of_arrival),
    Mutation("limit-in-order-of-arrival", ARRIVAL, _limit_in_order_of_arrival),
    Mutation("best-evidence-by-arrival", ARRIVAL, _best_evidence_by_arrival),
    Mutation("order-of-evidence-ignored", ARRIVAL, _order_of_evidence_ignored),
    Mutation("cut-forgotten", SPLIT, _cut_forgotten),
    Mutation("undone-cut-in-force", SPLIT, _undone_cut_in_force),
    Mutation("undone-join-in-force", JOIN, _undone_join_in_force),
    Mutation("quarantine-by-arrival", ARRIVAL, _quarantine_by_arrival),
    Mutation("no-quarantine", SUPERNODE, _no_quarantine),
    Mutation("no-merge-protection", ALL_ALONG, _no_merge_protection),
    Mutation("rules-for-new-evidence-alone", ARRIVAL, _rules_for_new_evidence_alone),
    Mutation("customer-named-by-key", ARRIVAL, _customer_named_by_key),
    Mutation("consent-widened", ARRIVAL, _consent_widened),
    Mutation("history-left-behind", ARRIVAL, _history_left_behind),
    Mutation("erased-but-kept", ERASURE, _erased_but_kept),
)
