"""The graph that is kept up to date is the graph that all evidence at once would give."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from customeros.processors.identity.fold import MAX_CUT_KEYS, MAX_CUTS
from customeros.processors.identity.model import Edge, Node, Pair
from customeros.processors.identity.resolve import own_customer, resolve
from customeros.processors.identity.rules import Rules
from customeros.schemas.identifier import MAX_DEGREE, IdentifierRules, IdentifierType
from customeros.schemas.identity import Evidence, EvidenceKind, Refusal
from support.identity import (
    SMALL,
    TYPES,
    WORKSPACE,
    Graph,
    adopt,
    cut,
    erase,
    evidence,
    join,
    keys,
    link,
    links,
    offline,
    pairs,
    seen,
)

# Everything limited but degrees, so that who is joined with whom depends on all of it.
OPEN = replace(
    SMALL,
    members=100,
    identifiers=IdentifierRules(
        types={
            "user_id": IdentifierType(limit=1, degree=100),
            "email": IdentifierType(limit=1, degree=100),
            "anonymous_id": IdentifierType(degree=100),
            "device_id": IdentifierType(degree=100),
        }
    ),
)
CASCADE = [
    link("e1", "u9", 2),
    link("a1", "e1", 5),
    link("a1", "e2", 6),  # refused: a1 has an e-mail already
    link("d1", "e2", 7),
    link("d2", "e2", 8),
    cut("c1", ["a1"], ["d1", "d2"]),
]
# u1 takes a1 from e1, a1 takes e2 from d1 and d2, whom nothing holds together any more.
SETTING_OFF = [link("a1", "u1", 1), link("a3", "d1", 10), link("a4", "d2", 11)]

histories = st.lists(evidence(), max_size=40)
rules = st.sampled_from([SMALL, OPEN])


def batches(told: list[Evidence], order: random.Random) -> Iterable[list[Evidence]]:
    at = 0
    while at < len(told):
        size = order.choice((1, 2, 5, 20))
        yield told[at : at + size]
        at += size


@settings(max_examples=300, deadline=None)
@given(histories, rules, st.randoms(use_true_random=False))
@example([*CASCADE, *SETTING_OFF], OPEN, random.Random(1))
def test_any_order_repetition_and_batching_gives_what_all_evidence_at_once_gives(
    told: list[Evidence], rules: Rules, order: random.Random
) -> None:
    """Also after each batch: the offline judge sees exactly what was told so far."""
    repeated = told + order.sample(told, len(told) // 3)
    order.shuffle(repeated)
    graph = Graph(rules)

    so_far: list[Evidence] = []
    for batch in batches(repeated, order):
        so_far += batch
        graph.tell(batch)

        assert graph.customers == offline(so_far, rules)
        assert graph.assigned == graph.customers

    assert offline(repeated, rules) == offline(told, rules)


def test_a_customer_that_falls_apart_is_not_held_together_by_other_evidence_of_its_batch() -> None:
    graph = Graph(OPEN).tell(CASCADE)
    assert graph.together("e2", "d1", "d2")

    graph.tell(SETTING_OFF)

    assert graph.customers == offline([*CASCADE, *SETTING_OFF], OPEN)
    assert graph.together("u1", "a1", "e2")
    assert graph.together("d1", "a3")
    assert not graph.together("d1", "d2")


@settings(max_examples=150, deadline=None)
@given(histories, rules, st.randoms(use_true_random=False))
def test_to_replay_everything_changes_nothing_and_raises_no_version(
    told: list[Evidence], rules: Rules, order: random.Random
) -> None:
    graph = Graph(rules)
    for batch in batches(told, order):
        graph.tell(batch)
    said, clock, stored = list(graph.said), graph.clock(), dict(graph.stored)

    order.shuffle(told)
    graph.tell(told, *batches(told, order))

    assert (graph.said, graph.clock(), graph.stored) == (said, clock, stored)


@settings(max_examples=150, deadline=None)
@given(histories, rules, st.randoms(use_true_random=False))
def test_what_was_said_never_puts_two_user_ids_into_one_customer(
    told: list[Evidence], rules: Rules, order: random.Random
) -> None:
    """After each transaction, to someone who has read the assignments alone."""
    graph = Graph(rules)

    for batch in batches(told, order):
        graph.tell(batch)

        users = Counter(c for key, c in graph.assigned.items() if TYPES[key[0]] == "user_id")
        assert not users or max(users.values()) == 1


@settings(max_examples=150, deadline=None)
@given(histories, rules, st.randoms(use_true_random=False))
def test_versions_of_an_identifier_grow_and_belong_to_one_customer_each(
    told: list[Evidence], rules: Rules, order: random.Random
) -> None:
    graph = Graph(rules)

    for batch in batches(told, order):
        graph.now -= order.choice((0, 0, 50))  # a successor's clock may be behind
        graph.tell(batch)

    versions: dict[str, list[int]] = defaultdict(list)
    for said in graph.said:
        versions[said.key].append(said.version)
    assert all(found == sorted(set(found)) for found in versions.values())


@settings(max_examples=150, deadline=None)
@given(histories, rules, st.randoms(use_true_random=False))
def test_evidence_that_a_limit_or_cut_refuses_stays_in_sight(
    told: list[Evidence], rules: Rules, order: random.Random
) -> None:
    """Conflicts are what `resolve` over everything refuses, no more and no less."""
    graph = Graph(rules)
    for batch in batches(told, order):
        graph.tell(batch)
    in_force = graph.cuts(["c1", "c2"]).values()

    whole = resolve(graph.stored, graph.pairs.values(), in_force, rules)

    refused = {one.edge.pair for one in whole.refused if one.reason in (Refusal.LIMIT, Refusal.CUT)}
    assert set(graph.conflicts) == refused
    assert {pair for pair, edge in graph.pairs.items() if edge.refused} == refused


@settings(max_examples=150, deadline=None)
@given(st.lists(links(), max_size=25), keys, keys, st.integers(0, 20))
def test_merged_and_cut_apart_is_as_never_merged_and_undone_is_as_merged(
    told: list[Evidence], a: str, b: str, at: int
) -> None:
    roomy = replace(OPEN, members=1_000)
    before = Graph(roomy).tell([*told, seen(a, 0), seen(b, 0)])
    if a == b or before.together(a, b):
        return
    sides = [[k for k in before.customers if before.together(k, x)] for x in (a, b)]
    graph = Graph(roomy).tell([*told, seen(a, 0), seen(b, 0)], link(a, b, at, strength=3))
    merged = graph.customers

    graph.tell(cut("c9", sides[0], sides[1]))
    assert graph.customers == before.customers

    graph.tell(cut("c9", sides[0], sides[1], version=2, on=False))
    assert graph.customers == merged
    assert graph.assigned == merged


def test_a_cut_that_comes_again_or_late_changes_nothing() -> None:
    graph = Graph().tell(link("a1", "e1", 1), cut("c1", ["a1"], ["e1"], version=2, on=False))

    graph.tell(cut("c1", ["a1"], ["e1"], version=1))

    assert graph.together("a1", "e1")


def test_a_cut_may_come_before_what_it_keeps_apart() -> None:
    graph = Graph().tell(cut("c1", ["a1"], ["e1"]))

    graph.tell(link("a1", "e1", 1))

    assert not graph.together("a1", "e1")
    assert graph.conflicts["a1", "e1"].reason is Refusal.CUT


def test_a_limit_holds_where_only_persons_have_named_the_identifiers() -> None:
    """The cut came first, and does not know what they are."""
    graph = Graph().tell(cut("c1", ["u1"], ["e1"]), join("u1", "u2", 2**62))

    assert not graph.together("u1", "u2")


def test_a_cut_that_contradicts_itself_is_rejected_and_changes_nothing() -> None:
    graph = Graph().tell(link("a1", "e1", 1))

    graph.tell(
        [
            cut("c1", ["a1"], ["a1", "e1"]),
            cut("c2", ["a1"], []),
            cut("c3", ["a1"], [f"e{n}" for n in range(MAX_CUT_KEYS)]),
            link("a1", "a2", 2),
        ]
    )

    assert [one.reason for one in graph.rejected] == ["contradiction"] * 3
    assert graph.together("a1", "e1", "a2")


@settings(max_examples=150, deadline=None)
@given(st.lists(links(), max_size=25), keys, st.randoms(use_true_random=False))
def test_of_an_erased_identifier_nothing_comes_back(
    told: list[Evidence], key: str, order: random.Random
) -> None:
    graph = Graph(OPEN).tell([*told, seen(key, 5)])
    before = graph.customers[key]

    graph.tell(erase(key, 50), *batches(told, order))

    assert graph.customers[key] == own_customer(WORKSPACE, key, 1) != before
    assert not any(key in pair for pair in graph.pairs)
    assert graph.customers == offline([*told, erase(key, 50)], OPEN)


def test_a_new_event_after_an_erasure_starts_a_new_customer() -> None:
    graph = Graph().tell(link("a1", "u1", 1), erase("a1", 5), erase("u1", 5))

    graph.tell(link("a1", "u1", 6, epochs=(1, 1)))

    assert graph.together("a1", "u1")
    assert graph.customers["u1"] == own_customer(WORKSPACE, "a1", 1)
    assert graph.said[-1].epoch == 1


def test_an_erasure_is_said_though_the_graph_never_met_the_identifier() -> None:
    graph = Graph().tell(erase("a1", 5))

    assert [(said.key, said.customer_id, said.epoch) for said in graph.said] == [
        ("a1", own_customer(WORKSPACE, "a1", 1), 1)
    ]


def test_an_earlier_event_that_comes_late_renames_the_customer() -> None:
    graph = Graph().tell(link("a1", "u1", 5), link("e1", "u1", 6))

    graph.tell(seen("e1", 2))

    assert graph.customers["u1"] == own_customer(WORKSPACE, "e1", 0)
    assert {said.cause for said in graph.said[-3:]} == {"ev2"}


def test_known_evidence_writes_and_says_nothing() -> None:
    """In the steady state the graph is only read."""
    graph = Graph().tell(link("a1", "u1", 5))
    stored, pairs, said = dict(graph.stored), dict(graph.pairs), list(graph.said)

    graph.tell(link("a1", "u1", 6), link("a1", "u1", 5))

    assert (graph.stored, graph.pairs, graph.said) == (stored, pairs, said)


class Counting(Graph):
    """A graph that counts what it is asked for."""

    reads = 0

    def nodes(self, keys: Iterable[str]) -> dict[str, Node]:
        found = super().nodes(keys)
        self.reads += len(found)
        return found

    def edges(self, pairs: Iterable[Pair]) -> dict[Pair, Edge]:
        found = super().edges(pairs)
        self.reads += len(found)
        return found


def test_a_value_that_thousands_share_costs_each_event_the_same() -> None:
    """Past its degree an identifier joins nobody, its record stays small, events go on."""
    graph = Counting(Rules(workspace=WORKSPACE))
    graph.tell(*[link("e1", f"u{n}", n) for n in range(100)])
    kiosk = graph.stored["e1"]
    graph.reads = 0

    graph.tell(*[link("e1", f"u{n}", n) for n in range(100, 3_000)])

    assert graph.reads == 2_900  # the kiosk's own record, each time
    assert kiosk.quarantined
    assert graph.stored["e1"] == kiosk
    assert len(kiosk.neighbours) == 51
    assert len({graph.customers[f"u{n}"] for n in range(3_000)}) == 3_000
    graph.tell(link("a1", "u2999", 9_000))
    assert graph.together("a1", "u2999")


def test_a_quarantine_gives_back_whom_the_value_had_joined() -> None:
    graph = Graph().tell(link("d1", "a1", 1), link("d1", "a2", 2), link("a1", "e1", 3))
    assert graph.together("d1", "a1", "a2", "e1")

    graph.tell(link("d1", "a3", 4))

    assert graph.stored["d1"].quarantined
    assert graph.together("a1", "e1")
    assert not graph.together("a1", "a2")


def test_no_record_passes_256_kb() -> None:
    wide = IdentifierRules(types={"user_id": IdentifierType(limit=1, degree=MAX_DEGREE)})
    graph = Graph(Rules(workspace=WORKSPACE, identifiers=wide))
    hub = "u" + "x" * 19

    graph.tell([link(hub, f"a{n:019}", n, event=f"{n}" * 20) for n in range(MAX_DEGREE + 50)])
    graph.tell([cut(f"{n:0128}", [hub], [f"a{n:019}"]) for n in range(MAX_CUTS + 1)])
    graph.tell(cut("wide", [hub], [f"a{n:0127}" for n in range(MAX_CUT_KEYS - 1)]))

    assert graph.stored[hub].quarantined
    assert len(graph.rejected) == 2
    stored = [*graph.stored.values(), *graph.pairs.values()]
    assert max(len(msgspec.msgpack.encode(record)) for record in stored) < 256_000


def test_a_customer_stays_within_its_bound_whatever_order_its_identifiers_come_in() -> None:
    bounded = Rules(workspace=WORKSPACE, members=50)
    told = [link(f"a{n}", f"a{n + 1}", n) for n in range(120)]
    graph, other = Graph(bounded).tell(told), Graph(bounded).tell(*reversed(told))

    sizes = Counter(graph.customers.values())

    assert max(sizes.values()) == 50
    assert graph.customers == other.customers == offline(told, bounded)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(evidence(), max_size=25),
    st.lists(evidence(), max_size=10),
    st.sampled_from([SMALL, replace(OPEN, blocked=frozenset({"e1"}), members=5)]),
)
def test_other_rules_give_the_customers_that_they_would_always_have_given(
    told: list[Evidence], later: list[Evidence], other: Rules
) -> None:
    graph = Graph(OPEN).tell(told)

    graph.tell([adopt(other), *later])

    assert graph.rules == other
    assert graph.customers == offline(told + later, other)
    assert graph.assigned == graph.customers


def test_rules_that_cannot_be_read_or_are_anothers_are_rejected() -> None:
    graph = Graph()
    foreign = adopt(replace(SMALL, workspace="other"))
    broken = adopt(SMALL, text="{")

    graph.tell([foreign, broken, Evidence(workspace=WORKSPACE, kind=EvidenceKind.LINK)])

    assert [one.reason for one in graph.rejected] == ["malformed_evidence"] * 3
    assert graph.rules == SMALL


@settings(max_examples=200, deadline=None)
@given(histories, rules, pairs, st.integers(0, 9))
def test_a_join_that_is_taken_back_leaves_what_never_joining_leaves(
    told: list[Evidence], rules: Rules, pair: list[str], at: int
) -> None:
    """Whether it is taken back at once, or after all else was said."""
    never = Graph(rules).tell(told, [seen(key, at) for key in pair])
    made = join(pair[0], pair[1], at, change="by-hand", version=5)
    undone = join(pair[0], pair[1], at, change="by-hand", version=6, on=False)
    first = Graph(rules).tell([seen(key, at) for key in pair], made, undone, told)
    last = Graph(rules).tell(told, [seen(key, at) for key in pair], made, undone)

    untouched = all(one.join is None or {one.join.a.key, one.join.b.key} != {*pair} for one in told)
    if untouched:
        assert first.customers == last.customers == never.customers
        assert first.conflicts.keys() == last.conflicts.keys() == never.conflicts.keys()


def test_a_join_by_hand_goes_before_what_events_say() -> None:
    """It holds where nothing else names the two, and undoing it leaves the events' evidence."""
    graph = Graph().tell(link("a1", "e1", 1), link("e2", "u1", 2))

    graph.tell(join("e1", "u1", 9))
    assert graph.together("a1", "e1", "u1", "e2")
    graph.tell(link("e1", "u1", 10), join("e1", "u1", 9, version=2, on=False))

    assert graph.together("a1", "e1", "u1", "e2")
    graph.tell(cut("c1", ["e1"], ["u1"]))
    assert not graph.together("e1", "u1")


def test_a_join_does_not_count_towards_a_quarantine() -> None:
    """A person may say of many identifiers that they are one customer's."""
    graph = Graph().tell(*[join("d1", key, 1) for key in ("a1", "a2", "a3", "a4")])

    assert graph.together("d1", "a1", "a2", "a3", "a4")
    assert not graph.stored["d1"].quarantined


def test_erasure_ends_a_join() -> None:
    graph = Graph().tell(join("a1", "u1", 1), erase("a1", 5))

    assert not graph.together("a1", "u1")
    graph.tell(join("a1", "u1", 1))
    assert not graph.together("a1", "u1")
    graph.tell(join("a1", "u1", 6, change="again", epochs=(1, 0)))
    assert graph.together("a1", "u1")


def test_a_join_of_an_identifier_with_itself_is_refused() -> None:
    graph = Graph().tell(join("a1", "a1", 1))

    assert [one.reason for one in graph.rejected] == ["contradiction"]
    assert graph.stored == {}
