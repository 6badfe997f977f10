"""One digest for one set of events, whatever their order, repetition, partitions and crashes."""

from __future__ import annotations

import random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customeros.ops.digest import Digest, digest
from customeros.processors.identity.rules import Rules
from customeros.processors.streams.graph import GraphProcessor
from customeros.processors.streams.resolve import ResolveProcessor
from customeros.processors.streams.state import StateProcessor
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE, EVENT
from customeros.schemas.event import Event
from customeros.schemas.identifier import BUILT_IN_TYPES, Identifier
from customeros.schemas.topics import ASSIGNMENTS, EVENTS, topic_key
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from support.histories import WORKSPACE, an_event, events_of

RULES = Rules(workspace=WORKSPACE)
WORLD = [
    Identifier(kind, value) for kind in ("user_id", "email", "anonymous_id") for value in ("1", "2")
]
NAMED = st.lists(st.sampled_from(WORLD), min_size=1, max_size=3, unique=True).map(
    lambda found: sorted(found, key=lambda i: BUILT_IN_TYPES[i.type].priority)
)
HISTORIES = st.lists(events_of(NAMED), max_size=10).map(
    lambda events: [
        msgspec.structs.replace(event, event_id=f"e{number}") for number, event in enumerate(events)
    ]
)


def digest_of(
    events: list[Event], *, partitions: int, order: random.Random, crashes: float = 0.0
) -> Digest:
    pipeline = InMemoryPipeline(
        [
            ResolveProcessor({WORKSPACE: RULES}, {}),
            GraphProcessor({WORKSPACE: RULES}),
            StateProcessor({WORKSPACE: RULES.identifiers}),
        ],
        partitions=partitions,
    )
    for event in events:
        key = topic_key(WORKSPACE, event.identifier_keys[0])
        pipeline.produce(EVENTS[event.family], key, EVENT.encode(event))
    pipeline.run(order, crashes=crashes)
    return digest(
        (CUSTOMER_STATE.decode(value) for value in pipeline.latest(CUSTOMER_STATE_TOPIC).values()),
        (ASSIGNMENT.decode(value) for value in pipeline.latest(ASSIGNMENTS).values()),
    )


@given(HISTORIES, st.integers(0, 2**32))
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_order_repetition_partitions_and_crashes_leave_the_digest_alone(
    events: list[Event], seed: int
) -> None:
    order = random.Random(seed)
    shuffled = [*events, *events[::2]]
    order.shuffle(shuffled)

    straight = digest_of(events, partitions=1, order=random.Random(0))

    for partitions in (1, 4, 16):
        other = digest_of(shuffled, partitions=partitions, order=order, crashes=0.05)
        assert other == straight


def test_one_more_event_changes_the_digest() -> None:
    first, second = an_event("e1"), an_event("e2")

    assert (
        digest_of([first], partitions=1, order=random.Random(0)).value
        != digest_of([first, second], partitions=1, order=random.Random(0)).value
    )


def test_who_belongs_to_whom_is_part_of_the_digest() -> None:
    """Two identifiers seen apart and seen together differ."""
    user, mail = Identifier("user_id", "1"), Identifier("email", "a@x.example")
    together = digest_of([an_event("e1", (user, mail))], partitions=1, order=random.Random(0))
    apart = digest_of([an_event("e1", (user,))], partitions=1, order=random.Random(0))

    assert together.moved == 1
    assert apart.moved == 0
    assert together.value != apart.value
