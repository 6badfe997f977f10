"""resolve, graph and state together: whatever happens on the way, the answer is the offline one."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.processors.identity.rules import Rules
from customeros.schemas.codec import RESOLVED_EVENT
from customeros.schemas.customer import Status
from customeros.schemas.identifier import Identifier, IdentifierRules, IdentifierType
from customeros.schemas.identity import Cut, Evidence, EvidenceKind
from customeros.schemas.topics import ASSIGNMENTS, CHANGES, EVIDENCE, LINKS, RESOLVED, SIGHTINGS
from support.histories import NOON, WORKSPACE, an_event, an_order, key_of
from support.offline import Offline
from support.promises import an_erasure, by_priority
from support.whole_pipeline import (
    RULES,
    a_pipeline,
    check,
    check_all_along,
    happen,
    newest,
    resolved,
)

SEEDS = st.integers(0, 2**32)
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
        an_event(f"e{number}", pair, occurred_at=NOON + number) for number, pair in enumerate(pairs)
    ]
    pipeline = a_pipeline(2, CROWDED)

    happen(pipeline, order.sample(events, len(events)))
    pipeline.run(order)

    check(pipeline, Offline(events, CROWDED))


def test_a_thousand_events_of_what_is_known_tell_the_graph_nothing() -> None:
    """In the steady state it is not even read: no evidence, no sighting, nothing of the graph's."""
    order = random.Random(3)
    people = [
        [
            Identifier("user_id", f"u{number}"),
            Identifier("email", f"{number}@x.example"),
            Identifier("anonymous_id", f"browser {number}"),
        ]
        for number in range(20)
    ]
    pipeline = a_pipeline(4)
    named = [by_priority(order.sample(person, 3)) for person in people]
    happen(pipeline, [an_event(f"first {n}", ids) for n, ids in enumerate(named)])
    pipeline.run(order)
    topics = (EVIDENCE, SIGHTINGS, ASSIGNMENTS, LINKS, CHANGES)
    before = [len(pipeline.records(topic)) for topic in topics]

    known = [named[n % 20][: order.randint(1, 3)] for n in range(1_000)]
    happen(
        pipeline, [an_event(f"e{n}", ids, occurred_at=NOON + 1 + n) for n, ids in enumerate(known)]
    )
    pipeline.run(order)

    assert [len(pipeline.records(topic)) for topic in topics] == before
    assert resolved(pipeline) == 1_020


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
                occurred_at=NOON + order.randrange(10**9),
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


def test_an_unmerge_gives_everybody_their_own_back_and_its_undoing_restores() -> None:
    """Contributions move there and back; the merged id is revived, digests return."""
    mail, ada = Identifier("email", "ada@x.example"), Identifier("user_id", "ada")
    pipeline = a_pipeline(4)
    happen(
        pipeline,
        [
            an_event("e1", [mail], order=an_order(100)),
            an_event("e2", [ada], order=an_order(20), occurred_at=NOON + 1),
        ],
    )
    pipeline.run()
    apart = {c: state.digest for c, state in newest(pipeline).items()}
    happen(pipeline, [an_event("e3", [ada, mail], occurred_at=NOON + 2)])
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

    happen(pipeline, [Evidence(workspace=WORKSPACE, kind=EvidenceKind.CUT, cut=cut)])
    pipeline.run()
    split = newest(pipeline)
    undone = msgspec.structs.replace(cut, version=2, on=False)
    happen(pipeline, [Evidence(workspace=WORKSPACE, kind=EvidenceKind.CUT, cut=undone)])
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
            an_event("e2", [ada, mail], occurred_at=NOON + 1),
        ],
    )
    pipeline.run()

    happen(pipeline, [an_erasure(mail)])
    pipeline.run()
    left = newest(pipeline)
    happen(pipeline, [an_event("e0", [mail], occurred_at=NOON - 100_000)])
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
