"""Rules adopted while events come: customers' states are those of rules that always held."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from customeros.processors.identity import sweep
from customeros.schemas.identifier import IdentifierType
from customeros.schemas.identity import Strength
from support.identity import adopt
from support.offline import Offline
from support.promises import History, histories
from support.whole_pipeline import RULES, a_pipeline, check, check_all_along, live

OTHER = replace(
    RULES,
    sources={"crm": {"seen_track": Strength.LOGIN}, "web": {"identify": Strength.SEEN_TOGETHER}},
    identifiers=replace(
        RULES.identifiers,
        types={
            **RULES.identifiers.types,
            "email": IdentifierType(normaliser="email", limit=1, degree=3, priority=30),
            "anonymous_id": IdentifierType(limit=2, degree=20, priority=50),
        },
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(), st.integers(1, 4))
def test_states_follow_the_rules_that_are_adopted_wherever_they_come(
    history: History, piece: int
) -> None:
    """Shuffled and repeated with the events, with crashes, and swept one identifier at a time."""
    order = random.Random(history.order)
    pipeline = a_pipeline(history.partitions)
    was, sweep.PIECE = sweep.PIECE, piece  # type: ignore[misc]  # small, as the world is
    try:
        live(pipeline, [*history.said, adopt(OTHER)], order, crashes=history.crashes)
    finally:
        sweep.PIECE = was  # type: ignore[misc]

    check(pipeline, Offline(history.events, OTHER, history.told))
    check_all_along(pipeline)
