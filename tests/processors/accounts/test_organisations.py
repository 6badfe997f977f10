"""What is known of an organisation is a function of the set of events, and follows identity."""

from __future__ import annotations

import random
from collections.abc import Sequence
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customeros.processors.identity.rules import Rules
from customeros.processors.streams import account_totals
from customeros.processors.streams.graph import GraphProcessor
from customeros.processors.streams.resolve import ResolveProcessor
from customeros.processors.streams.state import StateProcessor
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.account import AccountState, AccountStatus
from customeros.schemas.codec import ACCOUNT_STATE, CUSTOMER_STATE, EVENT, EVIDENCE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Cut, Endpoint, Evidence, EvidenceKind
from customeros.schemas.topics import ACCOUNT_CONTRIBUTIONS, DEAD_LETTERS, EVENTS, event_key
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.histories import NOON, WORKSPACE, an_event, an_order, key_of
from support.offline import Offline
from support.organisations import PRIORITIES, Organisations, account_events, of_account

RULES = Rules(workspace=WORKSPACE)
ADA, EVE = Identifier("user_id", "ada"), Identifier("user_id", "eve")
MAIL, DEVICE = Identifier("email", "ada@x.example"), Identifier("anonymous_id", "1")
# Some meet, as the collector sorts them.
NAMED = st.sampled_from(
    [[ADA], [EVE], [MAIL], [DEVICE], [ADA, MAIL], [MAIL, DEVICE], [EVE, DEVICE]]
)
HISTORIES = st.lists(account_events(NAMED), max_size=12).map(
    lambda events: [
        msgspec.structs.replace(event, event_id=f"e{number:02}")
        for number, event in enumerate(events)
    ]
)
SEEDS = st.integers(0, 2**32)


def a_pipeline(partitions: int = 4) -> InMemoryPipeline:
    rules = {WORKSPACE: RULES}
    priorities = {(WORKSPACE, source): priority for source, priority in PRIORITIES.items()}
    return InMemoryPipeline(
        [ResolveProcessor(rules, priorities), GraphProcessor(rules), StateProcessor({})],
        partitions=partitions,
    )


def happen(pipeline: InMemoryPipeline, events: Sequence[Event]) -> None:
    for event in events:
        pipeline.produce(EVENTS[event.family], event_key(event) or b"", EVENT.encode(event))


def accounts(pipeline: InMemoryPipeline) -> dict[str, AccountState]:
    values = pipeline.latest(ACCOUNT_STATE_TOPIC).values()
    return {state.account_id: state for state in map(ACCOUNT_STATE.decode, values)}


def customers(pipeline: InMemoryPipeline) -> dict[str, CustomerState]:
    values = pipeline.latest(CUSTOMER_STATE_TOPIC).values()
    states = map(CUSTOMER_STATE.decode, values)
    return {state.customer_id: state for state in states if state.status is Status.ACTIVE}


def of(pipeline: InMemoryPipeline, identifier: Identifier) -> CustomerState:
    key = key_of(identifier)
    [found] = [
        state
        for state in customers(pipeline).values()
        if key in {known.key for known in state.identifiers}
    ]
    return found


def members(state: AccountState) -> set[str]:
    return {member.customer_id for member in state.members}


def check(pipeline: InMemoryPipeline, events: Sequence[Event]) -> None:
    """Everything that must hold at rest."""
    expected = Organisations(events, Offline([e for e in events if e.identifier_keys], RULES))
    states = accounts(pipeline)

    assert pipeline.records(DEAD_LETTERS) == []
    assert {a: state.digest for a, state in states.items()} == {
        a: state.digest for a, state in expected.states().items()
    }
    for account, state in states.items():
        if state.status is AccountStatus.DELETED:
            assert state == AccountState(
                workspace=WORKSPACE,
                account_id=account,
                version=state.version,
                status=AccountStatus.DELETED,
                digest=state.digest,
            )
            continue
        naive = expected.expected(account)
        assert state.metrics.events == naive.events
        placed = {c: sums.placed for c, sums in state.metrics.money.items() if sums.placed}
        assert placed == {c: amount for c, amount in naive.placed.items() if amount}
        assert members(state) == naive.members
        assert state.member_count == len(naive.members)
        for child in state.subsidiaries:
            assert states[child].parent == account
    for customer in customers(pipeline).values():
        told = {a for a in {e.account_id for e in events} if a}
        own = {a for a in told if customer.customer_id in expected.expected(a).members}
        assert customer.accounts.keys() == own


@pytest.mark.parametrize("partitions", [1, 4, 16])
@given(HISTORIES, st.lists(st.integers(0, 11), max_size=4), SEEDS, st.sampled_from((0.0, 0.05)))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_way_of_arrival_gives_the_offline_answer(
    partitions: int, events: list[Event], again: list[int], seed: int, crashes: float
) -> None:
    """Shuffled, repeated, interleaved, crashed: the same members, money, parents and digests."""
    order = random.Random(seed)
    sent = [*events, *(events[at] for at in again if at < len(events))]
    order.shuffle(sent)
    pipeline = a_pipeline(partitions)
    middle = order.randint(0, len(sent))

    happen(pipeline, sent[:middle])
    pipeline.run(order, crashes=crashes)
    happen(pipeline, sent[middle:])
    pipeline.run(order, crashes=crashes)

    check(pipeline, events)


@given(HISTORIES, SEEDS)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_those_of_many_add_up_by_totals_to_the_same(events: list[Event], seed: int) -> None:
    """Here two are many already."""
    order = random.Random(seed)
    pipeline = a_pipeline()

    with mock.patch.object(account_totals, "_CROWD", 1):
        happen(pipeline, order.sample(events, len(events)))
        pipeline.run(order, crashes=0.02)

    check(pipeline, events)


def test_a_crowd_is_counted_and_its_money_adds_up() -> None:
    """Of three hundred, a hundred are listed; those who leave are not missed by the totals."""
    order = random.Random(3)
    people = [Identifier("user_id", f"u{n}") for n in range(300)]
    bought = [
        an_event(f"e{n}", [person], occurred_at=NOON + n, order=an_order(n, order_id=f"o{n}"))
        for n, person in enumerate(people)
    ]
    left = [
        an_event(f"l{n}", [person], occurred_at=NOON + 999, name="Group Left")
        for n, person in enumerate(people[:120])
    ]
    events = [of_account(event, "acme", {}) for event in (*bought, *left)]
    pipeline = a_pipeline(1)

    for start in range(0, 420, 70):
        happen(pipeline, events[start : start + 70])
        pipeline.run(order)

    acme = accounts(pipeline)["acme"]
    assert (acme.member_count, len(acme.members)) == (180, 100)
    assert acme.metrics.money["EUR"].placed == sum(range(300))
    assert [member.last_seen_at - NOON for member in acme.members] == [*range(299, 199, -1)]


@given(HISTORIES, SEEDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_replaying_everything_changes_nothing(events: list[Event], seed: int) -> None:
    """Neither sent again by the clients nor read again by the stages; no version is raised."""
    order = random.Random(seed)
    pipeline = a_pipeline()
    happen(pipeline, events)
    pipeline.run(order)
    topics = (ACCOUNT_STATE_TOPIC, ACCOUNT_CONTRIBUTIONS)
    before = [len(pipeline.records(topic)) for topic in topics]

    happen(pipeline, order.sample(events, len(events)))
    pipeline.run(order)
    for stage in ("resolve", "state"):
        for worker in pipeline.workers(stage):
            worker.rewind()
    pipeline.run(order)

    assert [len(pipeline.records(topic)) for topic in topics] == before


def tell(pipeline: InMemoryPipeline, said: Evidence) -> None:
    pipeline.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(said))


@given(HISTORIES, SEEDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_split_gives_the_accounts_of_those_who_never_merged(
    events: list[Event], seed: int
) -> None:
    """Byte for byte but for the version: what the merge moved goes back where it came from."""
    alone = [
        msgspec.structs.replace(
            event,
            identifier_keys=event.identifier_keys[:1],
            personal=msgspec.structs.replace(
                event.personal, identifiers=event.personal.identifiers[:1]
            ),
        )
        for event in events
        if event.personal is not None
    ]
    order = random.Random(seed)
    apart, split = a_pipeline(), a_pipeline()
    happen(apart, alone)
    apart.run(order)
    met = an_event("met", [ADA, MAIL], occurred_at=NOON + 100)

    happen(split, order.sample([*alone, met], len(alone) + 1))
    split.run(order)
    cut = Cut(
        cut_id="cut",
        version=1,
        on=True,
        left=(key_of(ADA),),
        right=(key_of(MAIL),),
        by="operator",
        why="two people",
    )
    tell(split, Evidence(workspace=WORKSPACE, kind=EvidenceKind.CUT, cut=cut))
    split.run(order)

    def timeless(pipeline: InMemoryPipeline) -> dict[str, bytes]:
        return {
            account: ACCOUNT_STATE.encode(msgspec.structs.replace(state, version=0))
            for account, state in accounts(pipeline).items()
        }

    assert timeless(split) == timeless(apart)


def test_a_customer_is_one_member_however_many_identifiers_say_so() -> None:
    """Who joined by one identifier and left by another has left; a merge decides by the times."""
    pipeline = a_pipeline()
    joined = of_account(an_event("e1", [ADA], kind="group"), "acme", {"role": "admin"})
    left = of_account(
        an_event("e2", [MAIL], occurred_at=NOON + 1, name="Account Removed User"), "acme", {}
    )
    happen(pipeline, [joined, left])
    pipeline.run()
    apart = accounts(pipeline)["acme"]
    happen(pipeline, [an_event("e3", [ADA, MAIL], occurred_at=NOON + 2)])
    pipeline.run()

    assert members(apart) == {of_id(ADA)}
    assert [member.role for member in apart.members] == ["admin"]
    assert accounts(pipeline)["acme"].members == ()
    assert of(pipeline, ADA).accounts == {}


def of_id(identifier: Identifier) -> str:
    pipeline = a_pipeline()
    happen(pipeline, [an_event("x", [identifier])])
    pipeline.run()
    return of(pipeline, identifier).customer_id


def test_only_joining_brings_back_who_left() -> None:
    """An event that happens to name the organisation does not; another group call does."""
    pipeline = a_pipeline()
    happen(
        pipeline,
        [
            of_account(an_event("e1", [ADA], kind="group"), "acme", {}),
            of_account(an_event("e2", [ADA], occurred_at=NOON + 1, name="Group Left"), "acme", {}),
            of_account(an_event("e3", [ADA], occurred_at=NOON + 2), "acme", {}),
        ],
    )
    pipeline.run()
    away = accounts(pipeline)["acme"]
    back = of_account(an_event("e4", [ADA], kind="group", occurred_at=NOON + 3), "acme", {})
    happen(pipeline, [back])
    pipeline.run()

    assert (away.member_count, away.metrics.events) == (0, 3)
    assert accounts(pipeline)["acme"].member_count == 1
    assert of(pipeline, ADA).accounts["acme"].event_id == "e4"


def test_money_is_the_organisation_s_whoever_of_it_paid() -> None:
    pipeline = a_pipeline()
    orders = [
        of_account(an_event("e1", [ADA], order=an_order(100, order_id="1")), "acme", {}),
        of_account(an_event("e2", [EVE], order=an_order(23, order_id="2")), "acme", {}),
        of_account(an_event("e3", [], order=an_order(7, order_id="3")), "acme", {}),
        an_event("e4", [ADA], order=an_order(1000, order_id="4")),
    ]
    happen(pipeline, orders)
    pipeline.run()

    acme = accounts(pipeline)["acme"]
    assert acme.metrics.money["EUR"].placed == 130
    assert acme.metrics.orders == 3
    assert acme.member_count == 2
    assert [entry.customer_id is None for entry in acme.timeline] == [True, False, False]


def test_what_an_organisation_says_of_itself_needs_nobody() -> None:
    """No customer is made of it; of two sources the one with the higher priority wins a tie."""
    pipeline = a_pipeline()
    happen(
        pipeline,
        [
            of_account(
                an_event("e1", [], kind="group", source=source), "acme", {"name": name, "role": "x"}
            )
            for source, name in (("crm", "Acme Inc."), ("web", "acme"))
        ],
    )
    pipeline.run()

    acme = accounts(pipeline)["acme"]
    assert {name: trait.value for name, trait in acme.traits.items()} == {"name": '"Acme Inc."'}
    assert acme.traits["name"].source == "crm"
    assert acme.member_count == 0
    assert pipeline.latest(CUSTOMER_STATE_TOPIC) == {}


def test_a_deleted_organisation_comes_back_with_newer_events_only() -> None:
    """It says that it is gone, for a week; then the tombstone."""
    pipeline = a_pipeline(1)
    happen(pipeline, [of_account(an_event("e1", [ADA], kind="group"), "acme", {"parent_id": "hq"})])
    pipeline.run()
    with_child = accounts(pipeline)["hq"]
    gone = of_account(
        an_event("e2", [EVE], occurred_at=NOON + 9, name="Account Deleted"), "acme", {}
    )
    happen(pipeline, [gone])
    pipeline.run()
    late = of_account(an_event("e3", [ADA], occurred_at=NOON + 8), "acme", {})
    happen(pipeline, [late])
    pipeline.run()
    deleted = accounts(pipeline)
    pipeline.now += 8 * 86_400_000
    happen(pipeline, [of_account(an_event("e4", [EVE]), "globex", {})])
    pipeline.run()
    forgotten = accounts(pipeline)
    happen(pipeline, [of_account(an_event("e5", [EVE], occurred_at=NOON + 10), "acme", {})])
    pipeline.run()

    assert with_child.subsidiaries == ("acme",)
    assert deleted.keys() == {"acme"}  # and headquarters, of which nothing else is known, with it
    assert deleted["acme"].status is AccountStatus.DELETED
    assert forgotten.keys() == {"globex"}
    back = accounts(pipeline)["acme"]
    assert (back.status, back.member_count, back.parent) == (AccountStatus.ACTIVE, 2, "hq")
    assert back.version > deleted["acme"].version


def test_parents_and_subsidiaries_may_go_in_a_circle() -> None:
    """Links are direct, so a circle is two links; nobody's parent is itself."""
    pipeline = a_pipeline()
    happen(
        pipeline,
        [
            of_account(an_event(f"e{n}", [], kind="group"), child, {"parent_id": parent})
            for n, (child, parent) in enumerate([("a", "b"), ("b", "a"), ("c", "c"), ("d", "x/y")])
        ],
    )
    pipeline.run()

    found = accounts(pipeline)
    assert (found["a"].parent, found["a"].subsidiaries) == ("b", ("b",))
    assert (found["b"].parent, found["b"].subsidiaries) == ("a", ("a",))
    assert (found["c"].parent, found["c"].subsidiaries) == (None, ())
    assert found["x/y"].subsidiaries == ("d",)
    assert found["x/y"].metrics.events == 0
    # Four told by events, three told to parents, and nothing that goes round.
    assert len(pipeline.records(ACCOUNT_CONTRIBUTIONS)) == 7


def test_a_new_parent_takes_the_subsidiary_over() -> None:
    pipeline = a_pipeline()
    for n, parent in enumerate(["old", "new"]):
        event = an_event(f"e{n}", [], kind="group", occurred_at=NOON + n)
        happen(pipeline, [of_account(event, "acme", {"parentId": parent})])
        pipeline.run()

    assert accounts(pipeline).keys() == {"acme", "new"}
    assert accounts(pipeline)["new"].subsidiary_count == 1


def test_what_is_erased_leaves_every_account() -> None:
    """Its money, its traits and its membership; an account of which nothing is left is gone."""
    pipeline = a_pipeline()
    happen(
        pipeline,
        [
            of_account(an_event("e1", [ADA], order=an_order(100)), "acme", {}),
            of_account(an_event("e2", [EVE], order=an_order(23)), "acme", {}),
            of_account(an_event("e3", [ADA], kind="group"), "solo", {"name": "Solo"}),
        ],
    )
    pipeline.run()
    erased = Endpoint(
        key=key_of(ADA), type="user_id", first_seen_at=pipeline.now, first_event_id="why", epoch=1
    )

    tell(pipeline, Evidence(workspace=WORKSPACE, kind=EvidenceKind.ERASE, erase=erased))
    pipeline.run()
    happen(pipeline, [of_account(an_event("e0", [ADA], order=an_order(5)), "acme", {})])
    pipeline.run()

    assert accounts(pipeline).keys() == {"acme"}
    acme = accounts(pipeline)["acme"]
    assert (acme.metrics.money["EUR"].placed, acme.member_count) == (23, 1)


def test_somebody_of_very_many_organisations_is_in_the_first_by_name() -> None:
    """In whatever order they come; the events of the others are the customer's all the same."""
    events = [
        of_account(an_event(f"e{n}", [ADA], kind="group", occurred_at=NOON + n), f"a{n:03}", {})
        for n in range(120)
    ]
    found = []
    for seed in range(3):
        order = random.Random(seed)
        pipeline = a_pipeline()
        shuffled = order.sample(events, 120)
        for start in range(0, 120, 30):
            happen(pipeline, shuffled[start : start + 30])
            pipeline.run(order)
        found.append({a: state.digest for a, state in accounts(pipeline).items()})
        assert of(pipeline, ADA).metrics.events == 120

    assert found[0] == found[1] == found[2]
    assert sorted(found[0]) == [f"a{n:03}" for n in range(100)]


def test_events_that_name_no_organisation_tell_none() -> None:
    pipeline = a_pipeline()
    happen(pipeline, [an_event(f"e{n}", [ADA, MAIL]) for n in range(20)])
    pipeline.run()

    assert pipeline.records(ACCOUNT_CONTRIBUTIONS) == []
