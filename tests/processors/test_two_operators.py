"""
Two people change identity at once: each decides on what both saw, and neither knows of the other.

Whatever order their words arrive in, however often, the graph is the same, and each change is
listed. Where they contradict each other it is a graph that they could have had one after the other:
what is said to be apart is apart, and of two joins the earlier holds. Where they do not, both hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import permutations
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.processors.identity import by_hand
from customeros.processors.identity.by_hand import Change, Impossible
from customeros.processors.identity.graph import Changes
from customeros.processors.identity.model import NEVER, Joined, Pair
from customeros.processors.identity.public import SPLIT, change_of, link_of
from customeros.processors.identity.why import members_of
from customeros.schemas.identity import Cut, Evidence, IdentityChange, IdentityLink
from support.identity import SMALL, TYPES, WORKSPACE, Graph, cut, evidence, join, link

NOW = 100


class Shop(Graph):
    """A graph, and what operators can see of it."""

    def __init__(self, told: Iterable[Evidence] = ()) -> None:
        super().__init__(SMALL)
        self.made: dict[str, IdentityChange] = {}
        for one in told:
            self.tell(one)

    def _keep(self, changes: Changes) -> None:
        super()._keep(changes)
        told: list[Cut | tuple[Pair, Joined]] = [*changes.cuts.values(), *changes.joins]
        for made in (change_of(said, WORKSPACE) for said in told):
            known = self.made.get(made.change_id)
            if known is None or known.version <= made.version:
                self.made[made.change_id] = made

    def links(self, key: str) -> list[IdentityLink]:
        found = [link_of(x, self.stored, WORKSPACE, 1) for p, x in self.pairs.items() if key in p]
        return [one for one in found if one is not None]

    def quarantined(self, key: str) -> bool:
        return key in self.stored and self.stored[key].quarantined

    def customer(self, key: str) -> str:
        return self.customers.get(key, key)

    def splits(self, key: str) -> list[IdentityChange]:
        return [
            one
            for one in self.made.values()
            if one.on and one.kind == SPLIT and key in (*one.left, *one.right)
        ]

    def members(self, key: str) -> list[str]:
        mine = [one for one in self.customers if self.customer(one) == self.customer(key)]
        return members_of(self, {*mine, key})

    def first_seen(self, key: str) -> int:
        return self.stored[key].first_seen_at if key in self.customers else NEVER

    @property
    def groups(self) -> set[frozenset[str]]:
        """Who is one customer with somebody else."""
        found: dict[str, set[str]] = {}
        for key, customer in self.customers.items():
            found.setdefault(customer, set()).add(key)
        return {frozenset(members) for members in found.values() if len(members) > 1}

    @property
    def everything(self) -> object:
        """All that anybody can read."""
        links = {pair: link_of(x, self.stored, WORKSPACE, 1) for pair, x in self.pairs.items()}
        return self.customers, links, self.made


class Order(NamedTuple):
    """What an operator wants: `split`, `join`, `refuse` or `undo`, and of whom or what."""

    what: str
    named: tuple[str, ...]

    def decided(self, shop: Shop, change: Change) -> Evidence | None:
        """The evidence that it becomes; None: it is refused."""
        try:
            return _DECIDE[self.what](shop, self.named, change)
        except Impossible:
            return None


def _split(shop: Shop, named: Sequence[str], change: Change) -> Evidence:
    return by_hand.split(shop, shop.members(named[0]), named[1:], change, WORKSPACE)


def _refuse(shop: Shop, named: Sequence[str], change: Change) -> Evidence:
    one, other = map(shop.members, named)
    return by_hand.refuse(shop, one, other, change, WORKSPACE)


def _join(shop: Shop, named: Sequence[str], change: Change) -> Evidence:
    a, b = (by_hand.endpoint(key, TYPES[key[0]], 0, shop.first_seen(key)) for key in named)
    one, other = map(shop.members, named)
    types = {key: TYPES[key[0]] for key in (*one, *other)}
    return by_hand.join(shop, (a, b), members=(one, other), types=types, rules=SMALL, change=change)


def _undo(shop: Shop, named: Sequence[str], change: Change) -> Evidence:
    made = shop.made[named[0]]
    ends = {key: (TYPES[key[0]], 0) for key in (*made.left, *made.right)}
    return by_hand.undo(made, change.by, change.now, ends)


_DECIDE: dict[str, Callable[[Shop, Sequence[str], Change], Evidence]] = {
    "split": _split,
    "refuse": _refuse,
    "join": _join,
    "undo": _undo,
}


def change(number: int, now: int) -> Change:
    return Change(f"change-{number}", f"operator {number}", "a word", now)


def at_once(told: Sequence[Evidence], orders: Sequence[Order], times: Sequence[int]) -> Shop:
    """Both decide on what is there, then their words arrive: in every way the same."""
    before = Shop(told)
    words = [
        word
        for number, (order, now) in enumerate(zip(orders, times, strict=True))
        if (word := order.decided(before, change(number, now))) is not None
    ]
    ends = []
    for arriving in permutations(words):
        ends.append(Shop(told).tell(*arriving))
        ends.append(Shop(told).tell(list(arriving)))
        ends.append(Shop(told).tell(*arriving, *arriving[::-1]))
    shops = [end for end in ends if isinstance(end, Shop)]
    assert all(shop.everything == shops[0].everything for shop in shops)
    assert {word.cut.cut_id for word in words if word.cut} <= shops[0].made.keys()
    assert {word.join.change_id for word in words if word.join} <= shops[0].made.keys()
    return shops[0]


def one_by_one(told: Sequence[Evidence], orders: Sequence[Order], times: Sequence[int]) -> Shop:
    """The second sees what the first has done, and may be refused."""
    shop = Shop(told)
    for number in sorted(range(len(orders)), key=lambda n: (times[n], n)):
        word = orders[number].decided(shop, change(number, times[number]))
        if word is not None:
            shop.tell(word)
    return shop


TOGETHER = [link("u1", "e1", 1), link("u1", "a1", 2), link("e1", "a2", 3)]
APART = [link("u1", "e1", 1), link("a1", "d1", 2)]
JOINED = [*APART, join("e1", "a1", 5, change="j1")]
CUT = [*APART, cut("c1", ["u1", "e1"], ["a1", "d1"])]


@pytest.mark.parametrize(
    ("told", "one", "other", "end"),
    [
        (APART, Order("join", ("u1", "a1")), Order("refuse", ("e1", "d1")), ("", "u1 a1")),
        (APART, Order("join", ("u1", "a1")), Order("join", ("u1", "a1")), ("u1 a1", "")),
        (APART, Order("join", ("u1", "a1")), Order("join", ("e1", "d1")), ("u1 a1", "")),
        (APART, Order("refuse", ("u1", "a1")), Order("refuse", ("e1", "d1")), ("", "u1 a1")),
        (TOGETHER, Order("split", ("u1", "a1")), Order("split", ("u1", "a1")), ("u1 e1", "u1 a1")),
        (TOGETHER, Order("split", ("u1", "a1")), Order("join", ("u1", "a1")), ("u1 e1", "u1 a1")),
        (JOINED, Order("undo", ("j1",)), Order("undo", ("j1",)), ("", "u1 a1")),
        (JOINED, Order("undo", ("j1",)), Order("split", ("u1", "a1")), ("", "u1 a1")),
        (CUT, Order("undo", ("c1",)), Order("join", ("u1", "a1")), ("", "u1 a1")),
    ],
)
@pytest.mark.parametrize("times", [(NOW, NOW + 1), (NOW + 1, NOW), (NOW, NOW)])
def test_two_words_at_once_end_as_one_after_the_other(
    told: list[Evidence], one: Order, other: Order, end: tuple[str, str], times: tuple[int, int]
) -> None:
    shop = at_once(told, (one, other), times)

    together, apart = (sides.split() for sides in end)
    assert shop.groups in [
        one_by_one(told, orders, (1 + NOW, 2 + NOW)).groups
        for orders in ((one, other), (other, one))
    ]
    assert not together or shop.together(*together)
    assert not apart or not shop.together(*apart)


def test_of_two_splits_that_overlap_both_hold() -> None:
    """Apart is what nobody has to take back in haste."""
    shop = at_once(
        TOGETHER,
        (Order("split", ("u1", "u1", "e1")), Order("split", ("u1", "u1", "a1"))),
        (NOW, NOW + 1),
    )

    assert len({shop.customer(key) for key in ("u1", "e1", "a1")}) == 3
    assert all(one.on for one in shop.made.values())


def test_of_two_joins_that_a_limit_allows_only_one_of_the_earlier_holds() -> None:
    told = [link("u1", "e1", 1), link("u2", "e2", 2), link("a1", "d1", 3)]
    orders = (Order("join", ("u1", "a1")), Order("join", ("u2", "a1")))

    shop = at_once(told, orders, (NOW, NOW + 1))

    assert shop.together("u1", "a1", "d1")
    assert shop.groups == one_by_one(told, orders, (NOW, NOW + 1)).groups
    (refused,) = [one for one in shop.links("u2") if one.refused]
    assert (refused.change_id, refused.detail) == ("change-1", "user_id")


def test_two_joins_go_before_the_evidence_that_would_make_them_one() -> None:
    """Each operator gets what they said; what an event says of the two is the conflict."""
    told = [link("u1", "e1", 1), link("u2", "e2", 2), link("a1", "d1", 3)]

    shop = at_once(told, (Order("join", ("u1", "a1")), Order("join", ("u2", "d1"))), (NOW, NOW))

    assert shop.together("u1", "a1")
    assert shop.together("u2", "d1")
    (refused,) = [one for one in shop.links("d1") if one.refused]
    assert (refused.event_id, refused.detail) == ("ev3", "user_id")


def test_a_join_that_another_overrules_is_listed_though_it_comes_late() -> None:
    orders = (Order("join", ("u1", "a1")), Order("join", ("u1", "a1")))

    shop = at_once(APART, orders, (NOW, NOW + 1))

    assert {one.change_id for one in shop.made.values() if one.on} == {"change-0", "change-1"}
    (pair,) = [one for one in shop.links("u1") if one.change_id]
    assert pair.change_id == "change-1"


keys = st.sampled_from(["u1", "u2", "e1", "e2", "a1", "a2"])
orders = st.one_of(
    st.builds(Order, st.just("split"), st.lists(keys, min_size=2, max_size=3).map(tuple)),
    st.builds(
        Order,
        st.sampled_from(["join", "refuse"]),
        st.lists(keys, min_size=2, max_size=2, unique=True).map(tuple),
    ),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(evidence(erasures=False), min_size=2, max_size=8),
    orders,
    orders,
    st.sampled_from([(NOW, NOW + 1), (NOW, NOW)]),
)
def test_any_two_words_at_once_hold_or_say_what_is_in_the_way(
    told: list[Evidence], one: Order, other: Order, times: tuple[int, int]
) -> None:
    shop = at_once(told, (one, other), times)

    for said in shop.made.values():
        sides = [{shop.customer(key) for key in keys} for keys in (said.left, said.right)]
        if said.on and said.kind == SPLIT:
            assert not sides[0] & sides[1]
        elif said.on:
            pairs = [x for x in shop.links(said.left[0]) if said.right[0] in (x.a, x.b)]
            for pair in pairs:  # none: a later word on the two took it back
                lone = shop.quarantined(pair.a) or shop.quarantined(pair.b)
                held = pair.change_id == said.change_id and pair.refused is None
                assert not held or lone or sides[0] == sides[1]
