"""Whose consent what-if says would narrow, it is so in the states once the rules are adopted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customeros.processors.identity.what_if import compare
from customeros.processors.profile.merge import merge_consent
from customeros.processors.profile.model import ConsentMark
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier, IdentifierKey, IdentifierRules
from customeros.schemas.identity import Strength
from customeros.schemas.topics import ASSIGNMENTS, CHANGES, LINKS
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.sdk import Customers
from customeros.serving.identity import Changes, Links
from customeros.serving.identity.links import WorkspaceGraph
from support.histories import WORKSPACE, events_of, key_of
from support.identity import adopt
from support.whole_pipeline import RULES, a_pipeline, happen

PEOPLE = [Identifier("user_id", name) for name in ("ada", "eve")]
DEVICES = [Identifier("device_id", name) for name in ("tv", "phone")]
NAMED = st.lists(st.sampled_from([*PEOPLE, *DEVICES]), min_size=1, max_size=2, unique=True).map(
    lambda named: sorted(named, key=lambda one: (one.type != "user_id", key_of(one)))
)
HISTORIES = st.lists(events_of(NAMED), max_size=12).map(
    lambda events: [
        msgspec.structs.replace(event, event_id=f"e{number:02}")
        for number, event in enumerate(events)
    ]
)
# Two accounts may share what page views alone would have joined.
THEN = msgspec.structs.replace(
    RULES,
    identifiers=IdentifierRules(
        types={
            **RULES.identifiers.types,
            "user_id": msgspec.structs.replace(RULES.identifiers.types["user_id"], limit=None),
        }
    ),
    strengths={**RULES.strengths, "seen_page": Strength.SUGGESTED},
)


@given(HISTORIES)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_it_says_of_consent_is_what_the_states_say_then(events: Sequence[Event]) -> None:
    pipeline = a_pipeline(2)
    happen(pipeline, events)
    pipeline.run()
    before = _customers(pipeline)
    own = partial(_consents, before)
    links, changes = Links(), Changes()
    links.update(pipeline.latest(LINKS))
    changes.update(pipeline.latest(CHANGES))
    graph = WorkspaceGraph(WORKSPACE, links, pipeline.latest(ASSIGNMENTS), changes)

    found = compare(graph, RULES, THEN, consents=own, first=100)
    happen(pipeline, [adopt(THEN)])
    pipeline.run()

    after = _customers(pipeline)
    for join in found.first_joins:
        if join.parts:
            continue
        state = after.by_key(WORKSPACE, IdentifierKey(join.identifiers[0]))
        assert state is not None
        assert {known.key for known in state.state.identifiers} == {*join.identifiers}
        granted = {purpose for purpose, said in state.state.consent.items() if said.granted}
        together = merge_consent([own(customer) for customer in join.customers])
        assert granted == {purpose for purpose, mark in together.items() if not mark.refused}
        lost = {(one.customer, one.purpose) for one in found.first_narrowed}
        for customer in join.customers:
            for purpose, mark in own(customer).items():
                if not mark.refused:
                    assert (purpose not in granted) == ((customer, purpose) in lost)


def _customers(pipeline: InMemoryPipeline) -> Customers:
    return Customers(pipeline.latest(STATES), pipeline.latest(ASSIGNMENTS))


def _consents(customers: Customers, customer_id: str) -> dict[str, ConsentMark]:
    found = customers.by_id(WORKSPACE, customer_id)
    assert found is not None
    return {
        purpose: ConsentMark(said.occurred_at, not said.granted, said.event_id, said.source)
        for purpose, said in found.state.consent.items()
    }
