"""Splits and joins over the whole pipeline: what is taken back was never there."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customeros.processors.identity.rules import Rules
from customeros.processors.streams.graph import GraphProcessor
from customeros.processors.streams.resolve import ResolveProcessor
from customeros.processors.streams.state import StateProcessor
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import CUSTOMER_STATE, EVENT, EVIDENCE
from customeros.schemas.customer import Status
from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Cut, Endpoint, Evidence, EvidenceKind, Join
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.schemas.topics import EVENTS, topic_key
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.histories import WORKSPACE, events_of, key_of

RULES = Rules(workspace=WORKSPACE)
WORLD = [
    Identifier(kind, value)
    for kind, value in (
        ("user_id", "ada"),
        ("user_id", "eve"),
        ("email", "a@x.example"),
        ("email", "b@x.example"),
        ("anonymous_id", "1"),
        ("anonymous_id", "2"),
        ("device_id", "tv"),
    )
]
_PRIORITY = {"user_id": 0, "email": 30, "anonymous_id": 50, "device_id": 60}
NAMED = st.lists(st.sampled_from(WORLD), min_size=1, max_size=3, unique=True).map(
    lambda found: sorted(found, key=lambda one: (_PRIORITY[one.type], key_of(one)))
)
HISTORIES = st.lists(events_of(NAMED), min_size=1, max_size=10).map(
    lambda events: [
        msgspec.structs.replace(event, event_id=f"e{number:02}")
        for number, event in enumerate(events)
    ]
)
SIDES = st.lists(st.sampled_from(WORLD), min_size=2, max_size=5, unique=True)
SEEDS = st.integers(0, 2**32)
some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def a_pipeline() -> InMemoryPipeline:
    rules = {WORKSPACE: RULES}
    return InMemoryPipeline(
        [
            ResolveProcessor(rules, {}),
            GraphProcessor(rules),
            StateProcessor({WORKSPACE: RULES.identifiers}),
        ],
        partitions=4,
    )


def happen(pipeline: InMemoryPipeline, events: Sequence[Event]) -> None:
    for event in events:
        key = topic_key(WORKSPACE, event.identifier_keys[0])
        pipeline.produce(EVENTS[event.family], key, EVENT.encode(event))


def tell(pipeline: InMemoryPipeline, told: Evidence) -> None:
    pipeline.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(told))


def digests(pipeline: InMemoryPipeline) -> dict[str, str]:
    """Of every live customer."""
    states = map(CUSTOMER_STATE.decode, pipeline.latest(CUSTOMER_STATE_TOPIC).values())
    return {one.customer_id: one.digest for one in states if one.status is Status.ACTIVE}


def a_split(
    named: Sequence[Identifier], middle: int, *, version: int = 1, on: bool = True
) -> Evidence:
    keys = [key_of(one) for one in named]
    cut = Cut(
        cut_id="split-1",
        version=version,
        on=on,
        left=tuple(keys[:middle]),
        right=tuple(keys[middle:]),
        by="ada",
        why="two people",
    )
    return Evidence(workspace=WORKSPACE, kind=EvidenceKind.CUT, cut=cut)


def a_join(one: Identifier, other: Identifier, *, version: int = 1, on: bool = True) -> Evidence:
    a, b = (
        Endpoint(key=key_of(i), type=i.type, first_seen_at=2**62, first_event_id="\uffff")
        for i in (one, other)
    )
    join = Join(change_id="j", version=version, on=on, a=a, b=b, by="ada", why="x", made_at=1)
    return Evidence(workspace=WORKSPACE, kind=EvidenceKind.JOIN, join=join)


@some
@given(HISTORIES, SIDES, SEEDS)
def test_merged_and_then_split_is_never_merged(
    events: list[Event], named: list[Identifier], seed: int
) -> None:
    """Byte for byte, whatever had joined them; and taking the split back restores what was."""
    order = random.Random(seed)
    middle = order.randint(1, len(named) - 1)
    never, split = a_pipeline(), a_pipeline()
    tell(never, a_split(named, middle))
    happen(never, events)
    never.run(order)
    happen(split, events)
    split.run(order)
    merged = digests(split)

    tell(split, a_split(named, middle))
    split.run(order, crashes=0.05)

    assert digests(split) == digests(never)
    tell(split, a_split(named, middle, version=2, on=False))
    split.run(order)
    assert digests(split) == merged


@some
@given(HISTORIES, SIDES, SEEDS)
def test_a_join_that_is_undone_leaves_no_trace(
    events: list[Event], named: list[Identifier], seed: int
) -> None:
    """Also where events come between the two, in any order and through crashes."""
    order = random.Random(seed)
    middle = order.randint(0, len(events))
    never, joined = a_pipeline(), a_pipeline()
    for pipeline in (never, joined):
        happen(pipeline, events[:middle])
        pipeline.run(order)

    tell(joined, a_join(named[0], named[1]))
    joined.run(order, crashes=0.05)
    for pipeline in (never, joined):
        happen(pipeline, events[middle:])
        pipeline.run(order, crashes=0.05)
    tell(joined, a_join(named[0], named[1], version=2, on=False))
    joined.run(order, crashes=0.05)

    assert digests(joined) == digests(never)
