"""What of all evidence for a pair is kept."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.processors.identity.proofs import MAX_PROOFS, Kept, with_proof
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
