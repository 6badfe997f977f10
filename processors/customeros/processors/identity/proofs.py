"""What of all that events say about a pair is kept, whatever order they come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from customeros.schemas.identity import STRENGTHS

# Of a pair. The types of two identifiers leave at most six rules that an event of theirs can
# come under, so the earliest for each rule is always there; and with them an identifier's record
# for 500 neighbours stays under 256 kB.
MAX_PROOFS: Final = 6

# Of an event's id in evidence. Those that software makes are shorter; one of 256 characters, for
# every rule and every neighbour, would make a record that no broker takes.
ID_BYTES: Final = 64

_PLACE: Final[Mapping[str, int]] = {rule: place for place, rule in enumerate(STRENGTHS)}


class Kept(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The earliest event of a source that says by a rule that two identifiers belong together."""

    occurred_at: int
    event_id: str
    source: str
    rule: str


def evidence_id(event_id: str) -> str:
    """What evidence keeps of an event's id: at most ID_BYTES of UTF-8."""
    if len(event_id) <= ID_BYTES and event_id.isascii():
        return event_id
    return event_id.encode()[:ID_BYTES].decode(errors="ignore")


def with_proof(proofs: tuple[Kept, ...], new: Kept) -> tuple[Kept, ...]:
    """
    *proofs* and *new*: the earliest by rule and source; the very same if it adds nothing.

    Of more than MAX_PROOFS those stay that are earliest for their rule, then those that are
    second for theirs, and so on; stronger rules first. What stays is a function of all that was
    ever taken, not of its order: what is dropped has others before it, and these only come to be
    earlier.
    """
    for known in proofs:
        if known.rule == new.rule and known.source == new.source:
            if known <= new:
                return proofs
            return tuple(new if proof is known else proof for proof in proofs)
    found = (*proofs, new)
    if len(found) <= MAX_PROOFS:
        return found
    kept = _first_of_each(found)
    return kept if new in kept else proofs


def _first_of_each(proofs: tuple[Kept, ...]) -> tuple[Kept, ...]:
    before: dict[str, int] = {}
    ranked: list[tuple[int, int, str, Kept]] = []
    for proof in sorted(proofs):
        rule = proof.rule
        turn = before[rule] = before.get(rule, -1) + 1
        ranked.append((turn, _PLACE.get(rule, len(_PLACE)), rule, proof))
    return tuple(proof for *_, proof in sorted(ranked)[:MAX_PROOFS])
