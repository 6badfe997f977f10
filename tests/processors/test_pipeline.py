"""resolve, graph and state together: whatever happens on the way, the answer is the offline one."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customeros.processors.identity.rules import Rules
from customeros.processors.streams.graph import GraphProcessor
from customeros.processors.streams.resolve import ResolveProcessor
from customeros.processors.streams.state import StateProcessor
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE, EVENT, EVIDENCE, RESOLVED_EVENT
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.event import Event
from customeros.schemas.identifier import (
    BUILT_IN_TYPES,
    Identifier,
    IdentifierRules,
    IdentifierType,
)
from customeros.schemas.identity import Cut, Endpoint, Evidence, EvidenceKind
from customeros.schemas.topics import ASSIGNMENTS, DEAD_LETTERS, EVENTS, RESOLVED, topic_key
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.histories import WORKSPACE, an_event, an_order, events_of, key_of
from support.offline import Offline

# Degrees so low that histories of a few events reach them.
TYPES = {
    **BUILT_IN_TYPES,
    "email": IdentifierType(limit=2, degree=3, priority=30),
    "device_id": IdentifierType(degree=2, priority=60),
}
RULES = Rules(workspace=WORKSPACE, identifiers=IdentifierRules(types=TYPES))
WORLD = [
    Identifier(kind, value)
    for kind, values in {
        "user_id": ("ada", "eve"),
        "email": ("a@x.example", "b@x.example", "c@x.example"),
        "anonymous_id": ("1", "2", "3"),
        "device_id": ("tv", "phone"),
    }.items()
    for value in values
]


def by_priority(identifiers: Sequence[Identifier]) -> list[Identifier]:
    """As the collector sorts an event's identifiers."""
    return sorted(identifiers, key=lambda found: (TYPES[found.type].priority, key_of(found)))


SEEDS = st.integers(0, 2**32)
NAMED = st.lists(st.sampled_from(WORLD), min_size=1, max_size=4, unique=True).map(by_priority)
HISTORIES = st.lists(events_of(NAMED), max_size=14).map(
    lambda events: [
        msgspec.structs.replace(event, event_id=f"e{number:02}")
        for number, event in enumerate(events)
    ]
)


def a_pipeline(partitions: int, rules_of_all: Rules = RULES) -> InMemoryPipeline:
    rules = {WORKSPACE: rules_of_all}
    return InMemoryPipeline(
        [
            ResolveProcessor(rules, {(WORKSPACE, "crm"): 5}),
            GraphProcessor(rules),
            StateProcessor({WORKSPACE: rules_of_all.identifiers}),
        ],
        partitions=partitions,
    )


def happen(pipeline: InMemoryPipeline, events: Sequence[Event]) -> None:
    for event in events:
        key = topic_key(WORKSPACE, event.identifier_keys[0])
        pipeline.produce(EVENTS[event.family], key, EVENT.encode(event))


def newest(pipeline: InMemoryPipeline) -> dict[str, CustomerState]:
    values = pipeline.latest(CUSTOMER_STATE_TOPIC).values()
    states = [CUSTOMER_STATE.decode(value) for value in values]
    return {state.customer_id: state for state in states}


def written(pipeline: InMemoryPipeline) -> list[CustomerState]:
    records = pipeline.records(CUSTOMER_STATE_TOPIC)
    return [CUSTOMER_STATE.decode(record.value) for record in records if record.value is not None]


def check(pipeline: InMemoryPipeline, offline: Offline) -> None:
    """Everything that must hold once the pipeline has come to rest."""
    states = newest(pipeline)
    live = {c: state for c, state in states.items() if state.status is Status.ACTIVE}
    expected = offline.states()

    assert pipeline.records(DEAD_LETTERS) == []
    assert set(live) == set(expected)
    for customer, state in live.items():
        assert state.digest == expected[customer].digest, (state, expected[customer])
        totals = offline.totals()[customer]
        assert (state.metrics.events, state.metrics.orders) == (totals.events, totals.orders)
        for currency, money in state.metrics.money.items():
            assert money.placed == totals.placed[currency]
            assert money.refunded == totals.refunded[currency]
    assert sum(state.metrics.events for state in live.values()) == len(offline.events)
    for customer, state in states.items():
        if customer not in live:
            assert state.status is Status.MERGED
            assert state.merged_into in live
    assert {known.key for state in live.values() for known in state.identifiers} == set(
        offline.customers
    )
    assert len(pipeline.records(RESOLVED)) == len(offline.events)


def check_all_along(pipeline: InMemoryPipeline) -> None:
    """What must hold of every record that anybody could have read."""
    versions: dict[str, int] = {}
    for state in written(pipeline):
        users = [known for known in state.identifiers if known.type == "user_id"]
        assert len(users) <= 1
        assert state.version > versions.get(state.customer_id, 0)
        versions[state.customer_id] = state.version
    assigned: dict[str, int] = {}
    for record in pipeline.records(ASSIGNMENTS):
        assert record.value is not None
        assignment = ASSIGNMENT.decode(record.value)
        assert assignment.version > assigned.get(assignment.key, 0)
        assigned[assignment.key] = assignment.version


@pytest.mark.parametrize("partitions", [1, 4, 16])
@given(
    HISTORIES,
    st.lists(st.integers(0, 13), max_size=6),
    SEEDS,
    st.sampled_from((0.0, 0.05)),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_way_of_arrival_gives_the_offline_answer(
    partitions: int,
    events: list[Event],
    again: list[int],
    seed: int,
    crashes: float,
) -> None:
    """Shuffled, repeated, interleaved, crashed: the same customers, totals and digests."""
    order = random.Random(seed)
    offline = Offline(events, RULES)
    sent = [*events, *(events[at] for at in again if at < len(events))]
    order.shuffle(sent)
    pipeline = a_pipeline(partitions)
    middle = order.randint(0, len(sent))

    happen(pipeline, sent[:middle])
    pipeline.run(order, crashes=crashes)
    happen(pipeline, sent[middle:])
    pipeline.run(order, crashes=crashes)

    check(pipeline, offline)
    check_all_along(pipeline)


@given(HISTORIES, SEEDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_replaying_everything_changes_nothing(events: list[Event], seed: int) -> None:
    """Neither sent again by the clients nor read again by the stages; no version is raised."""
    order = random.Random(seed)
    pipeline = a_pipeline(4)
    happen(pipeline, events)
    pipeline.run(order)
    topics = (CUSTOMER_STATE_TOPIC, ASSIGNMENTS, RESOLVED)
    before = [len(pipeline.records(topic)) for topic in topics]

    again = list(events)
    order.shuffle(again)
    happen(pipeline, again)
    pipeline.run(order)
    for stage in ("resolve", "graph", "state"):
        for worker in pipeline.workers(stage):
            worker.rewind()
    pipeline.run(order)

    assert [len(pipeline.records(topic)) for topic in topics] == before


CROWDED_TYPES = {
    "email": IdentifierType(degree=1, priority=30),
    "device_id": IdentifierType(degree=2, priority=60),
}
CROWDED = Rules(workspace=WORKSPACE, identifiers=IdentifierRules(types=CROWDED_TYPES))
MAILS = [Identifier("email", f"{name}@x.example") for name in "abcd"]
DEVICES = [Identifier("device_id", name) for name in ("tv", "phone", "desk", "kiosk")]


@given(
    st.lists(st.tuples(st.sampled_from(MAILS), st.sampled_from(DEVICES)), max_size=9),
    SEEDS,
)
@settings(max_examples=200, deadline=None)
def test_a_crowd_is_told_apart_in_any_order(
    pairs: list[tuple[Identifier, Identifier]], seed: int
) -> None:
    """Whoever has too many neighbours is left out, and so is who has too many because of it."""
    order = random.Random(seed)
    events = [
        an_event(f"e{number}", pair, occurred_at=1_699_963_200_000 + number)
        for number, pair in enumerate(pairs)
    ]
    pipeline = a_pipeline(2, CROWDED)

    happen(pipeline, order.sample(events, len(events)))
    pipeline.run(order)

    check(pipeline, Offline(events, CROWDED))


def test_an_account_that_takes_another_s_place_is_never_shown_beside_it() -> None:
    """Late and stronger evidence gives a laptop to somebody else, while both are on the move."""
    laptop = Identifier("anonymous_id", "laptop")
    ada, eve = Identifier("user_id", "ada"), Identifier("user_id", "eve")
    events = [
        an_event("e1", [laptop], occurred_at=1),
        an_event("e2", [ada, laptop], occurred_at=5),
        an_event("e3", [eve, laptop], occurred_at=3, kind="identify"),
    ]

    for seed in range(40):
        order = random.Random(seed)
        pipeline = a_pipeline(16)
        for event in events:
            happen(pipeline, [event])
            pipeline.run(order)
        check(pipeline, Offline(events, RULES))
        check_all_along(pipeline)


def test_a_thousand_events_of_many_customers_add_up() -> None:
    """More than fit a batch, over all partitions, with crashes: to the cent."""
    order = random.Random(7)
    events = []
    for number in range(1000):
        user = order.randrange(60)
        known = [
            Identifier("user_id", f"u{user}"),
            Identifier("email", f"{user}@x.example"),
            Identifier("anonymous_id", f"{user}-{order.randrange(3)}"),
        ]
        named = by_priority(order.sample(known, order.randint(1, 3)))
        events.append(
            an_event(
                f"e{number}",
                named,
                occurred_at=1_699_963_200_000 + order.randrange(10**9),
                kind=order.choice(("track", "identify")),
                order=an_order(order.randrange(10_000), order_id=f"o{number}"),
            )
        )
    pipeline = a_pipeline(4)

    for start in range(0, len(events), 300):
        happen(pipeline, events[start : start + 300])
        pipeline.run(order, crashes=0.02)

    check(pipeline, Offline(events, RULES))
    check_all_along(pipeline)


def evidence(pipeline: InMemoryPipeline, said: Evidence) -> None:
    pipeline.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(said))


def test_an_unmerge_gives_everybody_their_own_back_and_its_undoing_restores() -> None:
    """Contributions move there and back; the merged id is revived, digests return."""
    mail, ada = Identifier("email", "ada@x.example"), Identifier("user_id", "ada")
    pipeline = a_pipeline(4)
    happen(
        pipeline,
        [
            an_event("e1", [mail], order=an_order(100)),
            an_event("e2", [ada], order=an_order(20), occurred_at=1_699_963_200_001),
        ],
    )
    pipeline.run()
    apart = {c: state.digest for c, state in newest(pipeline).items()}
    happen(pipeline, [an_event("e3", [ada, mail], occurred_at=1_699_963_200_002)])
    pipeline.run()
    together = {c: state.digest for c, state in newest(pipeline).items()}
    cut = Cut(
        cut_id="cut",
        version=1,
        on=True,
        left=(key_of(ada),),
        right=(key_of(mail),),
        by="operator",
        why="two people",
    )

    evidence(pipeline, Evidence(workspace=WORKSPACE, kind=EvidenceKind.CUT, cut=cut))
    pipeline.run()
    split = newest(pipeline)
    undone = msgspec.structs.replace(cut, version=2, on=False)
    evidence(pipeline, Evidence(workspace=WORKSPACE, kind=EvidenceKind.CUT, cut=undone))
    pipeline.run()

    [mails] = [state for state in split.values() if state.identifiers[0].value == mail.value]
    [adas] = [state for state in split.values() if state.identifiers[0].value == "ada"]
    assert {state.status for state in split.values()} == {Status.ACTIVE}
    assert mails.digest == apart[mails.customer_id]
    assert (mails.metrics.money["EUR"].placed, adas.metrics.money["EUR"].placed) == (100, 20)
    assert adas.metrics.events == 2
    assert {c: state.digest for c, state in newest(pipeline).items()} == together
    check_all_along(pipeline)


def test_what_is_erased_does_not_come_back() -> None:
    """The customer loses it, old events of it are dropped, new ones are a new customer's."""
    mail, ada = Identifier("email", "ada@x.example"), Identifier("user_id", "ada")
    pipeline = a_pipeline(4)
    happen(
        pipeline,
        [
            an_event("e1", [mail], order=an_order(100)),
            an_event("e2", [ada, mail], occurred_at=1_699_963_200_001),
        ],
    )
    pipeline.run()
    erased = Endpoint(
        key=key_of(mail), type="email", first_seen_at=pipeline.now, first_event_id="why", epoch=1
    )

    evidence(pipeline, Evidence(workspace=WORKSPACE, kind=EvidenceKind.ERASE, erase=erased))
    pipeline.run()
    left = newest(pipeline)
    happen(pipeline, [an_event("e0", [mail], occurred_at=1_699_963_100_000)])
    pipeline.run()
    same = newest(pipeline)
    happen(pipeline, [an_event("e9", [mail], occurred_at=pipeline.now + 10)])
    pipeline.run()

    assert same == left
    live = [state for state in left.values() if state.status is Status.ACTIVE]
    assert [known.value for state in live for known in state.identifiers] == ["ada"]
    after = [s for s in newest(pipeline).values() if s.status is Status.ACTIVE]
    assert {state.customer_id for state in after} > {state.customer_id for state in live}
    [new] = [state for state in after if state not in live]
    assert (new.metrics.events, new.metrics.money) == (1, {})


def test_a_reader_s_story() -> None:
    """Two devices, a newsletter, a log-in, a purchase: one customer with all of it."""
    laptop, phone = Identifier("anonymous_id", "laptop"), Identifier("anonymous_id", "phone")
    mail, ada = Identifier("email", "ada@x.example"), Identifier("user_id", "ada")
    pipeline = a_pipeline(4)

    happen(
        pipeline,
        [
            an_event("e1", [laptop], occurred_at=1),
            an_event("e2", [phone], occurred_at=2),
            an_event("e3", [mail, phone], occurred_at=3, kind="identify"),
            an_event("e4", [ada, mail], occurred_at=4, kind="identify", traits={"name": '"Ada"'}),
            an_event("e5", [ada, laptop], occurred_at=5, order=an_order(2490)),
        ],
    )
    pipeline.run()

    states = newest(pipeline).values()
    [reader] = [state for state in states if state.status is Status.ACTIVE]
    assert {known.value for known in reader.identifiers} == {
        "laptop",
        "phone",
        "ada@x.example",
        "ada",
    }
    assert reader.metrics.events == 5
    assert reader.metrics.money["EUR"].placed == 2490
    assert reader.traits["name"].value == '"Ada"'
    assert [entry.event_id for entry in reader.timeline] == ["e5", "e4", "e3", "e2", "e1"]
    assert {state.merged_into for state in states if state is not reader} == {reader.customer_id}
    records = pipeline.records(RESOLVED)
    resolved = [RESOLVED_EVENT.decode(record.value) for record in records if record.value]
    assert {found.event.event_id for found in resolved} == {"e1", "e2", "e3", "e4", "e5"}
