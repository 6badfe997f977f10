"""Other rules are adopted while everything goes on: in the end it is as if they always held."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.testing import capture_logs

from customeros.processors.identity import sweep
from customeros.processors.identity.public import evidence_of
from customeros.processors.identity.resolve import resolve
from customeros.processors.identity.rules import Rules, text_of
from customeros.processors.streams.graph import GraphProcessor
from customeros.runtime.stream import Batch, Record
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.runtime.stream.overlay import Overlay
from customeros.runtime.stream.store import DictStore
from customeros.schemas.codec import (
    ASSIGNMENT,
    DEAD_LETTER,
    EVIDENCE,
    IDENTITY_CHANGE,
    IDENTITY_LINK,
)
from customeros.schemas.identifier import IdentifierKey, IdentifierType, customer_id
from customeros.schemas.identity import (
    STRENGTHS,
    Evidence,
    EvidenceKind,
    IdentityChange,
    Refusal,
    Strength,
    Sweep,
)
from customeros.schemas.topics import ASSIGNMENTS, CHANGES, DEAD_LETTERS, LINKS
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.identity import (
    SMALL,
    TYPES,
    WORKSPACE,
    Graph,
    adopt,
    cut,
    cuts,
    epochs,
    erase,
    evidence,
    join,
    joins,
    keys,
    link,
    moments,
    offline,
    pairs,
    seen,
)

SOURCES = ("web", "crm", "kiosk")


def with_types(rules: Rules, **changes: IdentifierType) -> Rules:
    types = {**rules.identifiers.types, **changes}
    return replace(rules, identifiers=replace(rules.identifiers, types=types))


# Degrees only fall from the first on: what came beyond one is not kept for a higher one.
FIRST = with_types(
    SMALL,
    email=IdentifierType(limit=2, degree=4),
    anonymous_id=IdentifierType(degree=4),
    device_id=IdentifierType(degree=3),
)
OTHERS = (
    SMALL,
    replace(FIRST, members=4),
    replace(FIRST, blocked=frozenset({"e1", "d1"})),
    with_types(FIRST, email=IdentifierType(limit=1, degree=4)),
    with_types(FIRST, email=IdentifierType(limit=None, degree=4)),
    with_types(SMALL, device_id=IdentifierType(degree=1)),
)
# Weak by the first, a part of it by the others, or the other way round.
JUDGED = (
    replace(FIRST, sources={"kiosk": {"seen_page": Strength.SUGGESTED}}),
    replace(FIRST, strengths={**STRENGTHS, "seen_page": Strength.SUGGESTED}),
    replace(FIRST, strengths={**STRENGTHS, "seen_page": Strength.EXPLICIT}),
    replace(FIRST, strengths={**STRENGTHS, "identify": Strength.SUGGESTED}),
)


@pytest.fixture(autouse=True)
def _small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "PIECE", 2)
        yield


@st.composite
def ruled_links(draw: st.DrawFn) -> Evidence:
    a, b = draw(pairs)
    return link(
        a,
        b,
        draw(moments),
        rule=draw(st.sampled_from(["alias", "identify", "seen_track", "seen_page"])),
        source=draw(st.sampled_from(SOURCES)),
    )


RULED = st.one_of(
    ruled_links(), ruled_links(), ruled_links(), joins(), cuts(), st.builds(seen, keys, moments)
)
ORDERS = st.randoms(use_true_random=False)


def batches(told: Sequence[Evidence], order: random.Random) -> Iterator[Sequence[Evidence]]:
    at = 0
    while at < len(told):
        size = order.choice((1, 1, 2, 5))
        yield told[at : at + size]
        at += size


def live(graph: Graph, told: Sequence[Evidence], order: random.Random) -> None:
    """Take everything, with pieces of a sweep in between as they come; look at every step."""
    for batch in batches(told, order):
        graph.step(*batch, *(graph.continued() if order.random() < 0.3 else ()))
        look(graph)
        while graph.sweep is not None and order.random() < 0.4:
            graph.step()
            look(graph)
    while graph.sweep is not None:
        graph.step()
        look(graph)


def look(graph: Graph) -> None:
    """What anybody may see, at any time."""
    assert graph.assigned == graph.customers
    users = Counter(c for key, c in graph.assigned.items() if TYPES[key[0]] == "user_id")
    assert not users or max(users.values()) == 1


def check(graph: Graph, told: Sequence[Evidence], rules: Rules) -> None:
    """What is true when it is at rest."""
    in_force = graph.in_force()
    assert in_force is not None
    assert (in_force.rules, in_force.sweep) == (rules, None)
    assert graph.customers == offline(told, rules)
    assert {node.rules for node in graph.stored.values()} <= {in_force.version}
    cuts_in_force = graph.cuts(["c1", "c2"]).values()
    whole = resolve(graph.stored, graph.pairs.values(), cuts_in_force, rules)
    refused = {one.edge.pair for one in whole.refused if one.reason in (Refusal.LIMIT, Refusal.CUT)}
    assert set(graph.conflicts) == refused
    assert {pair for pair, edge in graph.pairs.items() if edge.refused} == refused


def history(
    told: Sequence[Evidence], adopted: Sequence[Rules], order: random.Random
) -> list[Evidence]:
    """*adopted* at any moments among *told*, in their order."""
    sent: list[Evidence] = [*told]
    places = sorted(order.randint(0, len(sent)) for _ in adopted)
    for version, (place, rules) in reversed([*enumerate(zip(places, adopted, strict=True), 2)]):
        sent.insert(place, adopt(rules, version))
    return sent


@settings(max_examples=300, deadline=None)
@given(
    st.lists(evidence(erasures=False), max_size=40),
    st.lists(st.sampled_from(OTHERS), min_size=1, max_size=3),
    ORDERS,
)
def test_rules_adopted_at_any_time_hold_as_if_they_always_had(
    told: list[Evidence], adopted: list[Rules], order: random.Random
) -> None:
    adopted = sorted(adopted, key=lambda r: [-r.degree(t) for t in ("email", "device_id")])
    graph = Graph(FIRST)

    live(graph, history(told, adopted, order), order)

    check(graph, told, adopted[-1] if told or adopted else FIRST)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(RULED, max_size=40), st.lists(st.sampled_from(JUDGED), min_size=1, max_size=3), ORDERS
)
def test_other_strengths_are_tried_on_all_that_ever_happened(
    told: list[Evidence], adopted: list[Rules], order: random.Random
) -> None:
    roomy = [_roomy(rules) for rules in adopted]
    graph = Graph(_roomy(FIRST))

    live(graph, history(told, roomy, order), order)

    check(graph, told, roomy[-1])


def _roomy(rules: Rules) -> Rules:
    """Nobody is quarantined, which lasts."""
    return with_types(
        rules,
        **{name: replace(kind, degree=100) for name, kind in rules.identifiers.types.items()},
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(RULED, max_size=30), st.sampled_from(JUDGED), ORDERS)
def test_stronger_evidence_may_quarantine_and_weaker_evidence_release(
    told: list[Evidence], other: Rules, order: random.Random
) -> None:
    """Of whom all is kept, the degree is that of the rules in force."""
    graph = Graph(FIRST)

    live(graph, history(told, [other], order), order)

    if not any(node.more for node in graph.stored.values()):
        check(graph, told, other)


@settings(max_examples=100, deadline=None)
@given(st.lists(evidence(), max_size=30), st.sampled_from(OTHERS), ORDERS)
def test_to_read_everything_again_changes_nothing_and_raises_no_version(
    told: list[Evidence], other: Rules, order: random.Random
) -> None:
    """The adoption and the sweeps that it sent included."""
    graph = Graph(FIRST)
    sent = history(told, [other], order)
    live(graph, sent, order)
    stored, said, clock = dict(graph.stored), list(graph.said), graph.clock()
    sweeps = [
        Evidence(workspace=WORKSPACE, kind=EvidenceKind.SWEEP, sweep=Sweep(version=2, after=key))
        for key in ("", *graph.stored)
    ]

    again = [*sent, *sweeps]
    order.shuffle(again)
    live(graph, again, order)

    assert (graph.stored, graph.said, graph.clock()) == (stored, said, clock)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(evidence(erasures=False), max_size=30),
    st.lists(st.sampled_from(OTHERS), min_size=1, max_size=2),
    ORDERS,
)
def test_a_sweep_survives_crashes_wherever_they_come(
    told: list[Evidence], adopted: list[Rules], order: random.Random
) -> None:
    adopted = sorted(adopted, key=lambda r: [-r.degree(t) for t in ("email", "device_id")])
    pump = InMemoryPipeline([GraphProcessor({WORKSPACE: FIRST})], partitions=2)
    sent = history(told, adopted, order)
    middle = order.randint(0, len(sent))
    for part in (sent[:middle], sent[middle:]):
        for one in part:
            pump.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(one))
        pump.run(order, crashes=0.2)

    said = [ASSIGNMENT.decode(value) for value in pump.latest(ASSIGNMENTS).values()]
    newest = {one.key: one.customer_id for one in said}
    own = {
        key: customer_id(WORKSPACE, IdentifierKey(key), epoch)
        for key, epoch in epochs(told).items()
    }
    assert {key: newest.get(key, alone) for key, alone in own.items()} == offline(told, adopted[-1])
    assert not [
        letter
        for record in pump.records(DEAD_LETTERS)
        if (letter := DEAD_LETTER.decode(record.value or b"")).reason != "contradiction"
    ]
    shown = [IDENTITY_LINK.decode(value) for value in pump.latest(LINKS).values()]
    for shown_link in shown:
        if proofs := shown_link.proofs:
            best = max(adopted[-1].strength_of(proof.rule, proof.source) for proof in proofs)
            assert shown_link.strength == best


def changes(pump: InMemoryPipeline) -> list[IdentityChange]:
    found = [IDENTITY_CHANGE.decode(value) for value in pump.latest(CHANGES).values()]
    return sorted(found, key=lambda change: change.version)


def told(pump: InMemoryPipeline, *said: Evidence) -> None:
    for one in said:
        pump.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(one))
    pump.run()


def letters(pump: InMemoryPipeline) -> list[str]:
    return [DEAD_LETTER.decode(one.value or b"").reason for one in pump.records(DEAD_LETTERS)]


def test_every_version_of_the_rules_stays_listed_with_who_and_why() -> None:
    """The configuration's are the first, adopted when the first evidence comes."""
    pump = InMemoryPipeline([GraphProcessor({WORKSPACE: FIRST})])

    told(pump, link("a1", "u1", 1), adopt(SMALL, 2), adopt(FIRST, 3))

    listed = changes(pump)
    assert [(one.change_id, one.kind, one.by) for one in listed] == [
        ("rules-1", "rules", "customeros.toml"),
        ("rules-2", "rules", "ada"),
        ("rules-3", "rules", "ada"),
    ]
    assert [one.text for one in listed] == [text_of(FIRST), text_of(SMALL), text_of(FIRST)]
    assert (listed[1].why, listed[1].made_at) == ("better", 5)


def test_rules_older_than_those_in_force_are_refused_and_nothing_changes() -> None:
    pump = InMemoryPipeline([GraphProcessor({WORKSPACE: FIRST})])
    told(pump, link("a1", "u1", 1), adopt(SMALL, 2))
    before = changes(pump)

    told(pump, adopt(FIRST, 2), adopt(SMALL, 1), adopt(SMALL, 0))

    assert letters(pump) == ["outdated_rules", "outdated_rules", "malformed_evidence"]
    assert changes(pump) == before


def test_the_same_rules_again_are_no_mistake() -> None:
    """As when the whole topic is read again."""
    pump = InMemoryPipeline([GraphProcessor({WORKSPACE: FIRST})])
    told(pump, link("a1", "u1", 1), adopt(SMALL, 2), adopt(FIRST, 3))
    before = len(pump.records(CHANGES))

    told(pump, adopt(SMALL, 2), adopt(FIRST, 1), adopt(FIRST, 3))

    assert letters(pump) == []
    assert len(pump.records(CHANGES)) == before


@pytest.mark.parametrize(
    "wrong",
    [
        replace(SMALL, strengths={"seen_pages": Strength.LOGIN}),
        with_types(SMALL, **{"No Type": IdentifierType()}),
        replace(SMALL, workspace="other"),
    ],
)
def test_rules_that_nobody_knows_are_refused_and_nothing_changes(wrong: Rules) -> None:
    pump = InMemoryPipeline([GraphProcessor({WORKSPACE: FIRST})])
    told(pump, link("a1", "u1", 1))
    before = changes(pump)

    told(pump, replace(adopt(wrong), workspace=WORKSPACE))

    assert letters(pump) == ["malformed_evidence"]
    assert changes(pump) == before


def test_a_worker_says_that_its_configuration_is_not_in_force() -> None:
    """When it opens the workspace's partition; of rules that are equal there is nothing to say."""
    state = Overlay(DictStore())
    record = Record(0, WORKSPACE.encode(), link("a1", "u1", 1), 0, None)
    list(GraphProcessor({WORKSPACE: FIRST}).handle(state, [Batch(EVIDENCE_TOPIC, 0, [record], 9)]))

    with capture_logs() as same:
        GraphProcessor({WORKSPACE: FIRST}).opened(state)
    with capture_logs() as other:
        GraphProcessor({WORKSPACE: SMALL}).opened(state)

    assert same == []
    [said] = other
    assert (said["event"], said["workspace"], said["in_force"]) == ("rules_differ", WORKSPACE, 1)


def test_what_persons_said_can_be_told_again_from_the_list() -> None:
    """A graph built anew from the list of changes and the events is the same."""
    pump, anew = (InMemoryPipeline([GraphProcessor({WORKSPACE: FIRST})]) for _ in range(2))
    events = [link("a1", "u1", 1), link("e1", "u2", 2), link("a2", "e2", 3)]
    told(
        pump,
        *events,
        join("a2", "u1", 5, change="j1"),
        join("e2", "u2", 6, change="j2"),
        join("e2", "u2", 6, change="j2", version=2, on=False),
        cut("c1", ["a1"], ["u1"]),
        adopt(SMALL, 2),
    )

    told(anew, *[evidence_of(change) for change in changes(pump)], *events)

    assert changes(anew) == changes(pump)
    one, other = (
        {key: replace(IDENTITY_LINK.decode(v), version=0) for key, v in p.latest(LINKS).items()}
        for p in (pump, anew)
    )
    assert one == other


def test_a_higher_degree_releases_whose_neighbours_are_all_kept() -> None:
    """One more than the degree is kept; of whom more came, nobody knows how many they are."""
    low = with_types(SMALL, device_id=IdentifierType(degree=2))
    high = with_types(SMALL, device_id=IdentifierType(degree=5))
    few = [link("d1", key, n) for n, key in enumerate(("a1", "a2", "a3"))]
    many = [link("d2", key, n) for n, key in enumerate(("e1", "e2", "e3", "a4"), 5)]
    graph = Graph(low).tell(few, many)
    assert graph.stored["d1"].quarantined
    assert graph.stored["d2"].quarantined

    graph.tell(adopt(high))

    assert graph.together("d1", "a1", "a2", "a3")
    assert graph.stored["d2"].quarantined
    assert graph.customers["d2"] not in {graph.customers[key] for key in ("e1", "e2", "e3", "a4")}


def test_a_lower_limit_takes_what_is_too_much_away_piece_by_piece() -> None:
    """Nobody is shown with more than the limit that they had."""
    two = with_types(SMALL, user_id=IdentifierType(limit=2, degree=9))
    said = [link("a1", "u2", 1), link("a2", "u1", 2), link("u1", "u2", 3)]
    graph = Graph(two).tell(said)
    assert graph.together("u1", "u2")

    graph.step(adopt(SMALL))
    sizes = []
    while graph.sweep is not None:
        graph.step()
        sizes.append(max(Counter(c for k, c in graph.assigned.items() if k[0] == "u").values()))

    assert sizes == sorted(sizes, reverse=True)
    assert not graph.together("u1", "u2")
    assert graph.customers == offline(said, SMALL)


def test_evidence_of_the_batch_that_brings_the_rules_is_judged_by_them() -> None:
    """What it would have joined before is not joined."""
    graph = Graph(FIRST).tell(seen("a1", 1))

    graph.tell([link("a1", "e1", 2), adopt(replace(FIRST, blocked=frozenset({"e1"})))])

    assert not graph.together("a1", "e1")


def test_an_erasure_in_the_middle_of_a_sweep_leaves_nothing_behind() -> None:
    told_before = [link(f"a{n}", f"a{n + 1}", n) for n in range(1, 4)]
    graph = Graph(FIRST).tell(told_before)
    other = replace(FIRST, members=3)

    graph.step(adopt(other)).step(erase("a2", 50))
    while graph.sweep is not None:
        graph.step()

    assert graph.customers == offline([*told_before, erase("a2", 50)], other)
