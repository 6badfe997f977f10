"""What-if says of stored evidence what the graph does once the rules are adopted."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from customeros.processors.identity.narrowing import Narrowed, narrowings
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.what_if import (
    Join,
    Split,
    WhatIf,
    compare,
)
from customeros.processors.profile.model import ConsentMark
from customeros.processors.streams.graph import GraphProcessor
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import EVIDENCE
from customeros.schemas.identifier import IdentifierRules, IdentifierType
from customeros.schemas.identity import STRENGTHS, Evidence, Strength
from customeros.schemas.topics import ASSIGNMENTS, CHANGES, LINKS
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from customeros.serving.identity.changes import Changes
from customeros.serving.identity.links import Links, WorkspaceGraph
from support.identity import SMALL, WORKSPACE, adopt, epochs, erase, evidence, keys, link

Customers = frozenset[frozenset[str]]


class Shop:
    """The graph stage with *rules*, and what others can read of it."""

    def __init__(self, rules: Rules = SMALL) -> None:
        self.rules = rules
        self._pipeline = InMemoryPipeline([GraphProcessor({WORKSPACE: rules})], partitions=2)

    def tell(self, told: Iterable[Evidence]) -> None:
        for one in told:
            self._pipeline.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(one))
        self._pipeline.run(random.Random(1))

    def adopt(self, rules: Rules) -> None:
        self.tell([adopt(rules)])

    @property
    def graph(self) -> WorkspaceGraph:
        links, changes = Links(), Changes()
        links.update(self._pipeline.latest(LINKS))
        changes.update(self._pipeline.latest(CHANGES))
        return WorkspaceGraph(WORKSPACE, links, self._pipeline.latest(ASSIGNMENTS), changes)

    @property
    def complete(self) -> bool:
        """Whether every neighbour of everybody was kept."""
        graph = self.graph
        return not any(map(graph.overflown, graph.identifiers()))

    def what_if(self, then: Rules, first: int = 1_000) -> WhatIf:
        return compare(self.graph, self.rules, then, consents=lambda _: {}, first=first)

    @property
    def customers(self) -> Customers:
        """Who is one customer now."""
        graph = self.graph
        found: dict[str, set[str]] = {}
        for key in graph.identifiers():
            found.setdefault(graph.customer(key), set()).add(key)
        return frozenset(map(frozenset, found.values()))


def foretold(before: Customers, found: WhatIf) -> Customers:
    """Who would be one customer, from what is told of those that would change."""
    groups = set(before)
    for split in found.first_splits:
        parts = [frozenset(part) for part in split.parts]
        groups.remove(frozenset().union(*parts))
        groups.update(parts)
    for join in found.first_joins:
        together = frozenset(join.identifiers)
        groups = {group for group in groups if not group <= together} | {together}
    return frozenset(groups)


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Small limits and degrees, any strengths, a few blocked."""
    limits = st.none() | st.integers(1, 3)
    types = {
        name: IdentifierType(limit=draw(limits), degree=draw(st.integers(1, 6)))
        for name in ("user_id", "email", "anonymous_id", "device_id")
    }
    return Rules(
        workspace=WORKSPACE,
        identifiers=IdentifierRules(types=types),
        strengths={rule: draw(st.sampled_from(Strength)) for rule in STRENGTHS},
        sources={"web": {"alias": draw(st.sampled_from(Strength))}} if draw(st.booleans()) else {},
        blocked=draw(st.frozensets(keys, max_size=2)),
        members=draw(st.integers(2, 8)),
    )


def histories(*, erasures: bool) -> st.SearchStrategy[list[Evidence]]:
    """Anything that was told, each join by hand under an id of its own."""
    return st.lists(evidence(erasures=erasures).map(_with_own_id), max_size=25)


def _with_own_id(told: Evidence) -> Evidence:
    if told.join is None:
        return told
    said = told.join
    name = "-".join((said.change_id, *sorted((said.a.key, said.b.key))))
    return msgspec.structs.replace(told, join=msgspec.structs.replace(said, change_id=name))


SETTINGS = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@given(histories(erasures=False), rules(), rules())
@SETTINGS
def test_what_it_says_is_what_the_graph_does(
    history: Sequence[Evidence], now: Rules, then: Rules
) -> None:
    """Cuts, joins by hand and crowds included; and nothing is behind before."""
    shop = Shop(now)
    shop.tell(history)
    # What is not kept cannot be judged: below.
    assume(shop.complete)
    check(shop, then)


@given(histories(erasures=True), rules(), rules())
@SETTINGS
def test_it_does_where_evidence_was_erased_or_not_kept(
    history: Sequence[Evidence], now: Rules, other: Rules
) -> None:
    """As long as the rules count neighbours as before."""
    types = {
        name: msgspec.structs.replace(now.identifiers.types[name], limit=kind.limit)
        for name, kind in other.identifiers.types.items()
    }
    then = msgspec.structs.replace(
        now,
        identifiers=IdentifierRules(types=types),
        blocked=other.blocked,
        members=other.members,
    )
    shop = Shop(now)
    # Whoever knows of an erasure knows it from the graph.
    shop.tell(erase(key, 0) for key, epoch in epochs(history).items() if epoch)
    shop.tell(history)
    check(shop, then)


def check(shop: Shop, then: Rules) -> None:
    """What *then* is said to change is what changes when it is adopted."""
    before = shop.customers

    found = shop.what_if(then)
    shop.adopt(then)

    assert found.behind == 0
    assert shop.customers == foretold(before, found)


def with_type(name: str, rules: Rules = SMALL, **changes: int | None) -> Rules:
    """*rules* but for one type of identifier."""
    kind = msgspec.structs.replace(rules.identifiers.types[name], **changes)
    types = {**rules.identifiers.types, name: kind}
    return msgspec.structs.replace(rules, identifiers=IdentifierRules(types=types))


def told(found: Join | Split) -> list[tuple[str, str, int | None, int | None]]:
    return [(str(r.stood), r.detail, r.now, r.then) for r in found.reasons]


def test_a_higher_limit_joins_and_says_which_limit_stood_between() -> None:
    shop = Shop()
    shop.tell([link("u1", "d1", 1), link("u2", "d1", 2)])

    found = shop.what_if(with_type("user_id", limit=2))

    (join,) = found.first_joins
    assert join.identifiers == ("d1", "u1", "u2")
    assert len(join.customers) == 2
    assert join.parts == frozenset()
    assert told(join) == [("limit", "user_id", 1, 2)]
    assert (found.joins, found.joined, found.splits) == (1, 2, 0)


def test_a_lower_limit_splits() -> None:
    shop = Shop()
    shop.tell([link("e1", "a1", 1), link("e2", "a1", 2)])

    found = shop.what_if(with_type("email", limit=1))

    (split,) = found.first_splits
    assert split.parts == (("a1", "e1"), ("e2",))
    assert told(split) == [("limit", "email", 2, 1)]
    assert (found.joins, found.splits) == (0, 1)


def test_evidence_that_only_suggests_then_holds_nobody_together() -> None:
    """The evidence itself is named."""
    shop = Shop()
    shop.tell([link("u1", "a1", 1, rule="seen_page", source="kiosk")])
    then = msgspec.structs.replace(SMALL, sources={"kiosk": {"seen_page": Strength.SUGGESTED}})

    found = shop.what_if(then)

    (split,) = found.first_splits
    assert told(split) == [("weak", "", 1, 0)]
    assert (split.reasons[0].link.rule, split.reasons[0].link.source) == ("seen_page", "kiosk")


def test_evidence_that_only_suggested_joins_once_it_is_stronger() -> None:
    """It was kept for that."""
    now = msgspec.structs.replace(SMALL, sources={"kiosk": {"seen_page": Strength.SUGGESTED}})
    shop = Shop(now)
    shop.tell([link("u1", "a1", 1, rule="seen_page", source="kiosk")])

    found = shop.what_if(SMALL)

    assert [told(join) for join in found.first_joins] == [[("weak", "", 0, 1)]]


def test_what_moves_from_one_to_the_other_is_a_split_and_a_join_in_part() -> None:
    """A log-in that counts more than a visit takes the laptop along."""
    shop = Shop()
    shop.tell([link("u1", "a1", 1), link("u2", "a1", 2, rule="seen_identify")])
    then = msgspec.structs.replace(
        SMALL, strengths={**SMALL.strengths, "seen_identify": Strength.LOGIN}
    )

    found = shop.what_if(then)

    (split,), (join,) = found.first_splits, found.first_joins
    assert split.parts == (("a1",), ("u1",))
    assert join.identifiers == ("a1", "u2")
    assert join.parts == {split.customer}
    assert told(join) == [("limit", "user_id", 1, 1)]


def test_a_lower_degree_quarantines_and_a_higher_one_releases() -> None:
    crowd = [link("d1", f"a{n}", n) for n in (1, 2, 3)]
    shop, crowded = Shop(with_type("device_id", degree=3)), Shop(SMALL)
    shop.tell(crowd)
    crowded.tell(crowd)

    lower = shop.what_if(SMALL)
    higher = crowded.what_if(with_type("device_id", degree=3))

    assert (lower.quarantined, lower.released, lower.splits) == (1, 0, 1)
    assert {reason[:3] for reason in told(lower.first_splits[0])} == {
        ("quarantined", "device_id", 3)
    }
    assert (higher.quarantined, higher.released, higher.joins) == (0, 1, 1)
    assert {reason[2:] for reason in told(higher.first_joins[0])} == {(2, 3)}


def test_what_was_not_kept_cannot_be_judged_and_that_is_said() -> None:
    shop = Shop()
    shop.tell(link("d1", f"a{n}", n) for n in (1, 2, 3, 4))

    found = shop.what_if(with_type("device_id", degree=10))

    assert (found.released, found.unjudged, found.joins) == (0, 1, 0)


def test_blocked_identifiers_are_counted_and_hold_nobody_together() -> None:
    shop = Shop()
    shop.tell([link("u1", "e1", 1), link("u2", "e2", 2)])

    found = shop.what_if(msgspec.structs.replace(SMALL, blocked=frozenset({"e1", "a9"})))

    assert (found.blocked, found.splits) == (1, 1)
    assert told(found.first_splits[0]) == [("blocked", "email", None, None)]


def test_the_same_rules_change_nothing() -> None:
    shop = Shop()
    shop.tell([link("u1", "d1", 1), link("u2", "d1", 2), link("u1", "e1", 3)])

    found = shop.what_if(SMALL)

    assert found == WhatIf(4, 0, 0, 0, 0, 0, 0, 0, 0, {}, [], [], [])


def test_the_largest_come_first_whatever_the_order_of_arrival() -> None:
    history = [
        *(link("u1", f"a{n}", n) for n in (1, 2)),
        link("u2", "a3", 3),
        *(link("u3", f"e{n}", n) for n in (1, 2)),
    ]
    then = msgspec.structs.replace(
        SMALL, strengths=dict.fromkeys(SMALL.strengths, Strength.SUGGESTED)
    )
    answers = []
    for seed in range(6):
        shop = Shop()
        shop.tell(random.Random(seed).sample(history, len(history)))
        answers.append(shop.what_if(then, first=2))

    assert [len(split.parts) for split in answers[0].first_splits] == [3, 3]
    assert answers[0].splits == 3
    for found in answers[1:]:
        assert [s.parts for s in found.first_splits] == [s.parts for s in answers[0].first_splits]


def test_an_assignment_that_has_not_come_yet_is_told() -> None:
    """Else one would take a stage that is behind for an effect of the rules."""
    shop = Shop()
    shop.tell([link("u1", "e1", 1)])
    graph = shop.graph
    behind = WorkspaceGraph(WORKSPACE, graph._links, {}, graph._changes)

    found = compare(behind, SMALL, SMALL, consents=lambda _: {}, first=1)

    assert found.behind == 2


GRANTED, REFUSED = ConsentMark(1, False, "e1", "web"), ConsentMark(2, True, "e2", "web")


def test_a_join_is_as_restrictive_as_its_most_restrictive_member() -> None:
    """Per purpose; what nobody refuses stays granted."""
    consents = {"c1": {"ads": GRANTED, "mail": GRANTED}, "c2": {"ads": REFUSED}}

    (one,) = narrowings(consents, consents.__getitem__, certain=True)

    assert one == Narrowed("c1", "ads", ("c2",), certain=True)


def test_whose_consent_a_part_of_a_customer_carries_is_not_certain() -> None:
    """The refusal may be of the part that stays."""
    shop = Shop()
    shop.tell([link("u1", "a1", 1), link("u2", "a1", 2, rule="seen_identify")])
    then = msgspec.structs.replace(
        SMALL, strengths={**SMALL.strengths, "seen_identify": Strength.LOGIN}
    )
    eve = shop.graph.customer("u2")

    found = compare(
        shop.graph,
        SMALL,
        then,
        consents=lambda customer: {"ads": GRANTED if customer == eve else REFUSED},
        first=1,
    )

    (one,) = found.first_narrowed
    assert (one.customer, one.certain, found.narrowed) == (eve, False, {"ads": 1})
