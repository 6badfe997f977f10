"""What of all evidence for a pair is kept."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.processors.identity.proofs import (
    ID_BYTES,
    MAX_PROOFS,
    Kept,
    evidence_id,
    with_proof,
)
from customeros.processors.streams.identifier import IDENTIFIERS, Known, Pair
from customeros.schemas.identifier import MAX_DEGREE
from customeros.schemas.identity import STRENGTHS

PROOFS = st.builds(
    Kept,
    st.integers(0, 9),
    st.sampled_from(["e1", "e2", "e3"]),
    st.sampled_from(["app", "crm", "desk", "web"]),
    st.sampled_from(list(STRENGTHS)[:6]),
)


def kept(found: list[Kept]) -> set[Kept]:
    proofs: tuple[Kept, ...] = ()
    for one in found:
        proofs = with_proof(proofs, one)
    return {*proofs}


@settings(max_examples=300)
@given(st.lists(PROOFS, max_size=40), st.randoms(use_true_random=False))
def test_what_is_kept_does_not_depend_on_order_or_repetition(
    found: list[Kept], order: random.Random
) -> None:
    again = found + order.sample(found, len(found) // 2)
    order.shuffle(again)

    assert kept(again) == kept(found)


@given(st.lists(PROOFS, max_size=40))
def test_the_earliest_by_each_rule_is_always_there(found: list[Kept]) -> None:
    by_rule: dict[str, list[Kept]] = defaultdict(list)
    for one in found:
        by_rule[one.rule].append(one)

    assert kept(found) >= {min(same) for same in by_rule.values()}
    assert len(kept(found)) <= MAX_PROOFS


@given(st.lists(PROOFS, max_size=40))
def test_without_too_many_the_earliest_of_each_rule_and_source_are_there(
    found: list[Kept],
) -> None:
    earliest = {(one.rule, one.source): one for one in sorted(found, reverse=True)}

    if len(earliest) <= MAX_PROOFS:
        assert kept(found) == {*earliest.values()}


def test_known_evidence_is_the_very_same() -> None:
    proofs = with_proof((), Kept(5, "e1", "web", "seen_page"))

    assert with_proof(proofs, Kept(5, "e1", "web", "seen_page")) is proofs
    assert with_proof(proofs, Kept(6, "e0", "web", "seen_page")) is proofs


@given(st.text(max_size=256))
def test_an_event_id_is_kept_whole_or_its_first_bytes(event_id: str) -> None:
    kept_id = evidence_id(event_id)

    assert event_id.startswith(kept_id)
    assert len(kept_id.encode()) <= ID_BYTES
    if len(event_id.encode()) <= ID_BYTES:
        assert kept_id == event_id
    else:
        assert len(kept_id.encode()) > ID_BYTES - 4


def record_bytes(event_id: str, source: str) -> int:
    """An identifier with as many neighbours and as much evidence for each as there can be."""
    rules = sorted(STRENGTHS, key=len)[-MAX_PROOFS:]
    proofs = tuple(Kept(1_700_000_000_000, evidence_id(event_id), source, rule) for rule in rules)
    pairs = {f"{n:020}": Pair(proofs, 1_700_000_000_000) for n in range(MAX_DEGREE + 1)}
    return len(IDENTIFIERS.encode(Known("user_id", "c" * 20, pairs=pairs)))


def test_an_identifier_with_all_the_evidence_there_can_be_fits_its_record() -> None:
    assert record_bytes(str(uuid.uuid4()), "web") < 256_000
    assert record_bytes("\N{GRINNING FACE}" * 256, "s" * 63) < 1_000_000, "what a broker takes"
