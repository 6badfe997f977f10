"""`resolve` is a function of sets: what it joins, what it refuses, and that order is no part."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from customeros.processors.identity.model import Edge, Node, proof_of
from customeros.processors.identity.proofs import Kept
from customeros.processors.identity.resolve import own_customer, resolve
from customeros.processors.identity.rules import Rules, rule_of
from customeros.schemas.identifier import IdentifierRules, IdentifierType
from customeros.schemas.identity import Cut, Evidence, Link, Refusal, Strength
from support.identity import SMALL, WORKSPACE, cut, link, links

RULES = Rules(workspace=WORKSPACE)


def edges(*told: Evidence) -> list[Edge]:
    return [_edge(one.link) for one in told if one.link]


def _edge(said: Link) -> Edge:
    a, b = sorted((said.a, said.b), key=lambda end: end.key)
    return Edge(a.key, b.key, a_epoch=a.epoch, b_epoch=b.epoch).proved((proof_of(said),), RULES)


def nodes(*told: Evidence) -> dict[str, Node]:
    met = [point for one in told if one.link for point in (one.link.a, one.link.b)]
    return {
        p.key: Node(p.type, 0, p.first_seen_at, p.first_event_id, "")
        for p in sorted(met, key=lambda p: -p.first_seen_at)
    }


def customers(*told: Evidence, cuts: tuple[Cut, ...] = (), rules: Rules = RULES) -> dict[str, str]:
    return dict(resolve(nodes(*told), edges(*told), cuts, rules).assignments)


def refused(
    *told: Evidence, cuts: tuple[Cut, ...] = (), rules: Rules = RULES
) -> list[tuple[str, str, Refusal, str]]:
    found = resolve(nodes(*told), edges(*told), cuts, rules).refused
    return [(one.edge.a, one.edge.b, one.reason, one.detail) for one in found]


def test_an_identifier_alone_is_a_customer_named_after_itself() -> None:
    alone = {"a1": Node("anonymous_id", 0, 5, "ev5", "")}

    found = resolve(alone, [], [], RULES)

    assert found.assignments == {"a1": own_customer(WORKSPACE, "a1", 0)}


def test_a_customer_is_named_after_the_member_first_seen() -> None:
    """The earliest event wins; of one millisecond the smaller event id, then the smaller key."""
    told = (link("e1", "u1", 7), link("a1", "u1", 3), link("a2", "u1", 3))

    assert set(customers(*told).values()) == {own_customer(WORKSPACE, "a1", 0)}


def test_stronger_evidence_joins_before_earlier_evidence() -> None:
    told = (link("a1", "u1", 1, strength=1), link("a1", "u2", 9, strength=2))

    found = customers(*told)

    assert found["a1"] == found["u2"] != found["u1"]
    assert refused(*told) == [("a1", "u1", Refusal.LIMIT, "user_id")]


def test_of_equally_strong_evidence_the_earlier_joins() -> None:
    found = customers(link("a1", "u1", 2), link("a1", "u2", 1))

    assert found["a1"] == found["u2"] != found["u1"]


def test_two_user_ids_are_never_one_customer() -> None:
    told = (link("e1", "u1", 1, strength=3), link("e1", "u2", 2, strength=3))

    assert customers(*told)["u1"] != customers(*told)["u2"]


def test_evidence_of_strength_0_joins_nobody() -> None:
    told = (link("a1", "e1", 1, strength=0),)

    assert customers(*told)["a1"] != customers(*told)["e1"]
    assert refused(*told) == [("a1", "e1", Refusal.WEAK, "")]


def test_nobody_is_joined_through_a_blocked_identifier() -> None:
    told = (link("a1", "e1", 1), link("e1", "u1", 2))

    found = customers(*told, rules=replace(RULES, blocked=frozenset({"e1"})))

    assert len(set(found.values())) == 3


def test_nobody_is_joined_through_a_quarantined_identifier() -> None:
    told = (link("a1", "e1", 1), link("e1", "u1", 2))
    known = nodes(*told)
    known["e1"] = replace(known["e1"], quarantined=True)

    found = resolve(known, edges(*told), [], RULES)

    assert len(set(found.assignments.values())) == 3
    assert {one.reason for one in found.refused} == {Refusal.QUARANTINED}


def test_evidence_from_before_an_erasure_joins_nobody() -> None:
    told = (link("a1", "u1", 1),)
    known = nodes(*told)
    known["a1"] = replace(known["a1"], epoch=1)

    found = resolve(known, edges(*told), [], RULES)

    assert found.assignments["a1"] != found.assignments["u1"]
    assert [one.reason for one in found.refused] == [Refusal.ERASED]


def test_a_cut_keeps_its_sides_apart_whoever_else_would_join_them() -> None:
    told = (link("a1", "e1", 1), link("e1", "a2", 2), link("a2", "d1", 3))
    apart = cut("c1", ["a1"], ["d1"]).cut
    assert apart is not None

    found = customers(*told, cuts=(apart,))

    assert found["a1"] == found["e1"] == found["a2"] != found["d1"]
    assert refused(*told, cuts=(apart,)) == [("a2", "d1", Refusal.CUT, "c1")]


def test_a_cut_that_is_off_keeps_nobody_apart() -> None:
    off = cut("c1", ["a1"], ["e1"], on=False).cut
    assert off is not None

    found = customers(link("a1", "e1", 1), cuts=(off,))

    assert found["a1"] == found["e1"]


def test_a_customer_has_no_more_identifiers_of_a_type_than_its_limit() -> None:
    told = [link(f"e{n}", "u1", n) for n in range(1, 5)]
    two = IdentifierRules(types={"email": IdentifierType(limit=2), "user_id": IdentifierType()})

    found = customers(*told, rules=Rules(workspace=WORKSPACE, identifiers=two))

    assert [found[f"e{n}"] == found["u1"] for n in range(1, 5)] == [True, True, False, False]


def test_a_customer_has_no_more_identifiers_than_rules_allow() -> None:
    told = [link("u1", f"a{n}", n) for n in range(1, 6)]

    found = refused(*told, rules=replace(RULES, members=4))

    assert [(b, reason, detail) for _, b, reason, detail in found] == [
        ("u1", Refusal.LIMIT, "identifiers"),
        ("u1", Refusal.LIMIT, "identifiers"),
    ]


def test_the_workspace_is_part_of_a_customers_name() -> None:
    one = customers(link("a1", "e1", 1))
    other = customers(link("a1", "e1", 1), rules=replace(RULES, workspace="other"))

    assert one["a1"] != other["a1"]


@given(st.lists(links(), max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_evidence_is_no_part_of_the_answer(
    told: list[Evidence], order: random.Random
) -> None:
    known, found = nodes(*told), edges(*told)
    first = resolve(known, found, [], SMALL)
    order.shuffle(found)
    shuffled = dict(order.sample(list(known.items()), len(known)))

    again = resolve(shuffled, found * 2, [], SMALL)

    assert again.assignments == first.assignments
    assert {(one.edge, one.reason) for one in again.refused} == {
        (one.edge, one.reason) for one in first.refused
    }


@pytest.mark.parametrize(
    ("kind", "a_type", "b_type", "rule", "strength"),
    [
        ("alias", "user_id", "anonymous_id", "alias", Strength.EXPLICIT),
        ("identify", "user_id", "email", "identify", Strength.LOGIN),
        ("identify", "anonymous_id", "email", "seen_identify", Strength.SEEN_TOGETHER),
        ("track", "stripe:acct_1", "user_id", "external_id", Strength.LOGIN),
        ("track", "user_id", "email", "seen_track", Strength.SEEN_TOGETHER),
        ("page", "anonymous_id", "device_id", "seen_page", Strength.SEEN_TOGETHER),
        ("message", "email", "phone", "seen_track", Strength.SEEN_TOGETHER),
    ],
)
def test_strengths_follow_from_the_event_and_the_types(
    kind: str, a_type: str, b_type: str, rule: str, strength: Strength
) -> None:
    assert rule_of(kind, a_type, b_type) == rule_of(kind, b_type, a_type) == rule
    assert RULES.strength_of(rule, "web") is strength


def test_a_workspace_may_say_how_far_a_rule_goes_and_how_far_for_a_source() -> None:
    cautious = Rules(
        workspace=WORKSPACE,
        strengths={"seen_track": Strength.SUGGESTED},
        sources={"desk": {"seen_track": Strength.LOGIN}},
    )

    assert cautious.strength_of("seen_track", "web") is Strength.SUGGESTED
    assert cautious.strength_of("seen_track", "desk") is Strength.LOGIN
    assert cautious.strength_of("alias", "desk") is Strength.EXPLICIT
    assert cautious.strength_of("of a later release", "web") is Strength.SUGGESTED


def test_accounts_of_two_shops_in_one_outside_system_are_counted_apart() -> None:
    shops = [
        Edge(f"s{n}", "u1", 2, (Kept(n, f"ev{n}", "crm", "external_id"),)) for n in range(1, 8)
    ]
    known = {"u1": Node("user_id", 0, 0, "", "")} | {
        f"s{n}": Node(f"stripe:acct_{n % 2}", 0, n, "", "") for n in range(1, 8)
    }

    found = resolve(known, shops, [], RULES)

    assert len(set(found.assignments.values())) == 1
