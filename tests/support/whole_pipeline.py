"""resolve, graph and state in memory: fed, and looked at as anybody may who reads its topics."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from customeros.ops.digest import digest
from customeros.processors.identity.rules import Rules
from customeros.processors.streams.graph import GraphProcessor
from customeros.processors.streams.resolve import ResolveProcessor
from customeros.processors.streams.state import StateProcessor
from customeros.runtime.stream import Processor
from customeros.runtime.stream.memory import InMemoryBroker, InMemoryPipeline
from customeros.schemas.codec import ACCOUNT_STATE, ASSIGNMENT, CUSTOMER_STATE, EVENT, EVIDENCE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.event import Event
from customeros.schemas.identifier import BUILT_IN_TYPES, IdentifierRules, IdentifierType
from customeros.schemas.identity import Assignment, Evidence
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC
from customeros.schemas.topics import ASSIGNMENTS, DEAD_LETTERS, EVENTS, RESOLVED, topic_key
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.histories import DAY, NOON, WORKSPACE
from support.offline import PRIORITIES, Offline

STAGES = ("resolve", "graph", "state")
# Degrees so low that histories of a few events reach them.
RULES = Rules(
    workspace=WORKSPACE,
    identifiers=IdentifierRules(
        types={
            **BUILT_IN_TYPES,
            "email": IdentifierType(limit=2, degree=3, priority=30),
            "device_id": IdentifierType(degree=2, priority=60),
        }
    ),
)
# After all that happens in the histories.
AFTERWARDS = NOON + 10 * DAY


def a_pipeline(
    partitions: int = 4, rules: Rules = RULES, *, broker: InMemoryBroker | None = None
) -> InMemoryPipeline:
    """All three stages with *rules*, over *broker* or over an empty one."""
    return InMemoryPipeline(processors(rules), partitions=partitions, now=AFTERWARDS, broker=broker)


def processors(rules: Rules = RULES) -> list[Processor]:
    """Those of all three stages."""
    of_all = {WORKSPACE: rules}
    return [
        ResolveProcessor(of_all, PRIORITIES),
        GraphProcessor(of_all),
        StateProcessor({WORKSPACE: rules.identifiers}),
    ]


def happen(pipeline: InMemoryPipeline, said: Sequence[Event | Evidence]) -> None:
    """Send events as the collector would, and what persons say as the API would."""
    for one in said:
        if isinstance(one, Event):
            key = topic_key(WORKSPACE, one.identifier_keys[0])
            pipeline.produce(EVENTS[one.family], key, EVENT.encode(one))
        else:
            pipeline.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(one))


def live(
    pipeline: InMemoryPipeline,
    said: Sequence[Event | Evidence],
    order: random.Random,
    *,
    crashes: float = 0.0,
) -> None:
    """Let all of *said* happen: shuffled, some of it twice, the second half later."""
    sent = [*said, *order.sample(said, len(said) // 3)]
    order.shuffle(sent)
    _adopt_in_order(sent)
    middle = order.randint(0, len(sent))
    for part in (sent[:middle], sent[middle:]):
        happen(pipeline, part)
        pipeline.run(order, crashes=crashes)


def _adopt_in_order(sent: list[Event | Evidence]) -> None:
    """Rules have a version each, and only newer ones are taken."""
    found = [
        (one.rules.version, at)
        for at, one in enumerate(sent)
        if isinstance(one, Evidence) and one.rules
    ]
    adoptions = [sent[at] for _, at in sorted(found)]
    for (_, at), adoption in zip(found, adoptions, strict=True):
        sent[at] = adoption


def newest(pipeline: InMemoryPipeline) -> dict[str, CustomerState]:
    """The state of each customer, by id."""
    values = pipeline.latest(CUSTOMER_STATE_TOPIC).values()
    return {state.customer_id: state for state in map(CUSTOMER_STATE.decode, values)}


def fingerprint(pipeline: InMemoryPipeline) -> str:
    """What `customeros identity digest` prints."""
    assignments = map(ASSIGNMENT.decode, pipeline.latest(ASSIGNMENTS).values())
    accounts = map(ACCOUNT_STATE.decode, pipeline.latest(ACCOUNT_STATE_TOPIC).values())
    return digest(newest(pipeline).values(), assignments, accounts).value


def states(pipeline: InMemoryPipeline) -> dict[str, str]:
    """The digest of each live customer, by id."""
    return {c: s.digest for c, s in newest(pipeline).items() if s.status is Status.ACTIVE}


def written(pipeline: InMemoryPipeline) -> list[CustomerState]:
    """Every state that there ever was, in order for each customer."""
    records = pipeline.records(CUSTOMER_STATE_TOPIC)
    return [CUSTOMER_STATE.decode(record.value) for record in records if record.value is not None]


def check(pipeline: InMemoryPipeline, offline: Offline) -> None:
    """Everything that must hold once the pipeline has come to rest."""
    found = newest(pipeline)
    live = {c: state for c, state in found.items() if state.status is Status.ACTIVE}
    expected, totals, granted = offline.states(), offline.totals(), offline.granted()

    assert pipeline.records(DEAD_LETTERS) == []
    assert set(live) == set(expected)
    for customer, state in live.items():
        assert state.digest == expected[customer].digest, (state, expected[customer])
        assert {purpose: c.granted for purpose, c in state.consent.items()} == granted[customer]
        sums = totals[customer]
        assert (state.metrics.events, state.metrics.orders) == (sums.events, sums.orders)
        for currency, money in state.metrics.money.items():
            assert money.placed == sums.placed[currency]
            assert money.refunded == sums.refunded[currency]
    assert sum(state.metrics.events for state in live.values()) == len(offline.counted)
    for state in found.values():
        if state.status is Status.MERGED and not offline.erased:
            assert state.merged_into in live
    assert {known.key for state in live.values() for known in state.identifiers} == set(
        offline.customers
    )


def check_all_along(pipeline: InMemoryPipeline) -> None:
    """What must hold of every record, and after every transaction, that anybody could read."""
    versions: dict[str, int] = {}
    for state in written(pipeline):
        users = [known for known in state.identifiers if known.type == "user_id"]
        assert len(users) <= 1
        assert state.version > versions.get(state.customer_id, 0)
        versions[state.customer_id] = state.version
    assigned: dict[str, Assignment] = {}
    records = sorted(pipeline.records(ASSIGNMENTS), key=attrgetter("timestamp"))
    for _, transaction in groupby(records, key=attrgetter("timestamp")):
        for said in (ASSIGNMENT.decode(record.value or b"") for record in transaction):
            assert said.key not in assigned or said.version > assigned[said.key].version
            assigned[said.key] = said
        accounts = Counter(s.customer_id for s in assigned.values() if s.type == "user_id")
        assert max(accounts.values(), default=0) <= 1


def resolved(pipeline: InMemoryPipeline) -> int:
    """How many events were attributed."""
    return len(pipeline.records(RESOLVED))
