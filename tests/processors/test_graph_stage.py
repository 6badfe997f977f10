"""The graph as a stage: its records, its dead letters, and what a crash leaves behind."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from customeros.processors.streams.graph import GraphProcessor, StoredGraph, build_graph
from customeros.runtime.config import Config, Workspace
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
from customeros.schemas.identifier import (
    IdentifierKey,
    IdentifierRules,
    IdentifierType,
    customer_id,
)
from customeros.schemas.identity import Assignment, Evidence, Refusal
from customeros.schemas.topics import ASSIGNMENTS, CHANGES, DEAD_LETTERS, LINKS, topic_key
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.identity import (
    SMALL,
    WORKSPACE,
    Graph,
    cut,
    epochs,
    evidence,
    join,
    link,
    links,
    offline,
)

WORKSPACES = ("shop", "other", "third")


def pipeline(partitions: int = 4) -> InMemoryPipeline:
    rules = {name: replace(SMALL, workspace=name) for name in WORKSPACES}
    return InMemoryPipeline([GraphProcessor(rules)], partitions=partitions)


def tell(pump: InMemoryPipeline, *told: Evidence) -> None:
    for one in told:
        pump.produce(EVIDENCE_TOPIC, one.workspace.encode(), EVIDENCE.encode(one))


def assignments(pump: InMemoryPipeline) -> list[Assignment]:
    return [ASSIGNMENT.decode(record.value or b"") for record in pump.records(ASSIGNMENTS)]


def customers(pump: InMemoryPipeline, workspace: str, told: list[Evidence]) -> dict[str, str]:
    """Of each identifier in *told*, by the compacted topic alone."""
    newest = {
        said.key: said.customer_id
        for value in pump.latest(ASSIGNMENTS).values()
        if (said := ASSIGNMENT.decode(value)).workspace == workspace
    }
    return {
        key: newest.get(key, customer_id(workspace, IdentifierKey(key), epoch))
        for key, epoch in epochs(told).items()
    }


def test_an_assignment_goes_out_for_each_identifier_that_moved() -> None:
    pump = pipeline()

    tell(pump, link("a1", "u1", 5))
    pump.run()

    (record,) = pump.records(ASSIGNMENTS)
    said = ASSIGNMENT.decode(record.value or b"")
    assert record.key == topic_key(WORKSPACE, "u1")
    assert (said.key, said.type, said.cause, said.epoch) == ("u1", "user_id", "ev5", 0)
    assert said.customer_id == customer_id(WORKSPACE, IdentifierKey("a1"))


def test_of_many_links_in_one_batch_each_identifier_moves_once() -> None:
    """A batch costs what it changes, not what it went through."""
    pump = pipeline()

    tell(pump, *[link(f"a{n}", f"a{n + 1}", n) for n in range(5)])
    pump.run()

    assert sorted(said.key for said in assignments(pump)) == ["a1", "a2", "a3", "a4", "a5"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WORKSPACES), evidence()), max_size=40),
    st.sampled_from([1, 4, 16]),
    st.randoms(use_true_random=False),
)
def test_a_crash_at_any_point_leaves_what_no_crash_would_have(
    told: list[tuple[str, Evidence]], partitions: int, order: random.Random
) -> None:
    """Workspaces share partitions; state is lost, input comes again; the answer stays."""
    sent = [replace(one, workspace=workspace) for workspace, one in told]
    pump = pipeline(partitions)
    tell(pump, *sent)

    pump.run(order, crashes=0.2)

    for workspace in WORKSPACES:
        own = [one for one in sent if one.workspace == workspace]
        expected = offline(own, replace(SMALL, workspace=workspace))
        assert customers(pump, workspace, own) == expected
    versions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for said in assignments(pump):
        versions[said.workspace, said.key].append(said.version)
    assert all(found == sorted(set(found)) for found in versions.values())


@settings(max_examples=50, deadline=None)
@given(st.lists(evidence(), max_size=30), st.randoms(use_true_random=False))
def test_to_read_the_whole_topic_again_says_nothing(
    told: list[Evidence], order: random.Random
) -> None:
    pump = pipeline()
    tell(pump, *told)
    pump.run(order)
    before = assignments(pump)

    tell(pump, *told)
    pump.run(order)

    assert assignments(pump) == before


def test_evidence_that_cannot_be_taken_becomes_a_dead_letter_and_the_rest_goes_on() -> None:
    pump = pipeline(1)
    stray = EVIDENCE.encode(link("a1", "e1", 1))

    pump.produce(EVIDENCE_TOPIC, b"other", stray)
    pump.produce(EVIDENCE_TOPIC, b"shop", None)
    pump.produce(EVIDENCE_TOPIC, b"shop", b"nonsense")
    tell(pump, cut("c1", ["a1"], ["a1"]), link("a1", "u1", 2))
    pump.run()

    letters = [DEAD_LETTER.decode(record.value or b"") for record in pump.records(DEAD_LETTERS)]
    assert {(letter.reason, letter.workspace) for letter in letters} == {
        ("misplaced_evidence", "shop"),
        ("malformed_evidence", "unknown"),
        ("undecodable", "unknown"),
        ("contradiction", "shop"),
    }
    assert len(assignments(pump)) == 1


def test_what_was_refused_can_be_asked_for() -> None:
    state = Overlay(DictStore())
    told = [link("a1", "u1", 1), link("a1", "u2", 2), link("a1", "u1", 1, workspace="other")]
    records = [Record(n, one.workspace.encode(), one, 0, None) for n, one in enumerate(told)]

    list(GraphProcessor({}).handle(state, [Batch(EVIDENCE_TOPIC, 0, records, 1_000)]))

    ((edge, conflict),) = StoredGraph(state, WORKSPACE).conflicts()
    assert (edge.pair, edge.proofs[0].event_id) == (("a1", "u2"), "ev2")
    assert (conflict.reason, conflict.detail, conflict.version) == (
        Refusal.LIMIT,
        "user_id",
        1_000,
    )


def test_workspaces_share_a_partition_and_nothing_else() -> None:
    pump = pipeline(1)

    tell(pump, link("a1", "u1", 1), link("a1", "u2", 2, workspace="other"))
    pump.run()

    said = {(one.workspace, one.key) for one in assignments(pump)}
    assert said == {("shop", "u1"), ("other", "u2")}


def test_the_stage_takes_the_configured_rules_of_each_workspace() -> None:
    two_users = IdentifierRules(types={"user_id": IdentifierType(limit=2)})
    config = Config({"shop": Workspace("shop", two_users)})
    pump = InMemoryPipeline([build_graph(config)])

    for workspace in ("shop", "other"):
        tell(
            pump, *[link("a1", user, n, workspace=workspace) for n, user in enumerate(("u1", "u2"))]
        )
    pump.run()

    moved = {(one.workspace, one.key) for one in assignments(pump)}
    assert moved == {("shop", "u1"), ("shop", "u2"), ("other", "u1")}


def test_the_stored_graph_is_the_graph_in_dicts() -> None:
    """What the product keeps in state is what the properties of the graph are tried on."""
    told = [
        link("a1", "u1", 1),
        link("a1", "e1", 2),
        link("e1", "u2", 3),
        cut("c1", ["e1"], ["a1"]),
    ]
    graph = Graph().tell(*told)
    state = Overlay(DictStore())
    processor = GraphProcessor({WORKSPACE: SMALL})

    for n, one in enumerate(told):
        record = Record(n, WORKSPACE.encode(), one, 0, None)
        list(processor.handle(state, [Batch(EVIDENCE_TOPIC, 0, [record], 1_001 + n)]))

    stored = StoredGraph(state, WORKSPACE)
    assert stored.nodes(graph.stored) == graph.stored
    assert stored.edges(graph.pairs) == graph.pairs
    assert stored.keys("", 100) == sorted(graph.stored)
    assert {edge.pair: conflict for edge, conflict in stored.conflicts()} == graph.conflicts
    assert stored.clock() == graph.clock()


@settings(max_examples=100, deadline=None)
@given(st.lists(evidence(), max_size=40), st.randoms(use_true_random=False))
def test_the_public_links_are_those_of_the_graph(
    told: list[Evidence], order: random.Random
) -> None:
    """Whoever reads the topics alone knows all evidence, what was refused, who is quarantined."""
    pump = pipeline(1)
    tell(pump, *told)
    pump.run(order, crashes=0.1)
    graph = Graph().tell(told)

    found = [IDENTITY_LINK.decode(value) for value in pump.latest(LINKS).values()]
    assert {(one.a, one.b): (one.strength, one.event_id) for one in found if one.b} == {
        pair: (edge.strength, edge.proofs[0].event_id if edge.proofs else "")
        for pair, edge in graph.pairs.items()
        if edge.proofs or edge.by_hand
    }
    weak = [(one.a, one.b) for one in found if one.refused == Refusal.WEAK]
    assert {pair for pair in weak if graph.pairs[pair].strength} == set()
    refused = {(one.a, one.b) for one in found if one.b and one.refused}
    assert refused - {*weak} == set(graph.conflicts)
    assert {one.a for one in found if not one.b} == {
        key for key, node in graph.stored.items() if node.quarantined
    }


def test_who_changed_what_by_hand_and_why_is_public_and_so_is_its_undoing() -> None:
    pump = pipeline()
    tell(pump, join("a1", "u1", 5, change="j1"), cut("c1", ["a1"], ["e1"]))
    tell(pump, join("a1", "u1", 5, change="j1", version=2, on=False))
    pump.run()

    found = {
        one.change_id: one
        for value in pump.latest(CHANGES).values()
        for one in [IDENTITY_CHANGE.decode(value)]
    }
    assert (found["j1"].kind, found["j1"].on, found["j1"].left) == ("join", False, ("a1",))
    assert (found["c1"].kind, found["c1"].by, found["c1"].why) == (
        "split",
        "ada",
        "not the same person",
    )
    assert pump.latest(LINKS) == {}


@settings(max_examples=100, deadline=None)
@given(st.lists(links(), max_size=20), st.randoms(use_true_random=False))
def test_evidence_that_is_known_causes_no_traffic_at_all(
    told: list[Evidence], order: random.Random
) -> None:
    pump = pipeline(1)
    tell(pump, *told)
    pump.run(order)
    before = [len(pump.records(topic)) for topic in (ASSIGNMENTS, LINKS, CHANGES)]

    order.shuffle(told)
    tell(pump, *told)
    pump.run(order)

    assert [len(pump.records(topic)) for topic in (ASSIGNMENTS, LINKS, CHANGES)] == before
