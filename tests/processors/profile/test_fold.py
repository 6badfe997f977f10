"""A profile is a function of the set of its events."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.processors.enrichment.context import enrich, page, touch
from customeros.processors.profile.bounds import CONTRIBUTION_BYTES, fitted
from customeros.processors.profile.fold import fold, fold_consent
from customeros.processors.profile.merge import merge, merge_consent
from customeros.processors.profile.model import (
    DAYS,
    EMPTY,
    MAX_LONG,
    PURPOSES,
    THINGS,
    TIMELINE_ENTRIES,
    TRAITS,
    Change,
    ConsentMark,
    Contribution,
    Fact,
    First,
    Profile,
    Told,
    as_sent,
    canonical_bytes,
    decode_change,
    encode_change,
)
from customeros.processors.profile.uniques import count
from customeros.schemas.event import (
    ConsentDecision,
    Direction,
    Event,
    Family,
    Message,
    OrderAction,
)
from support.histories import ADA, DAY, NOON, an_event, an_order, events_of
from support.listed import read_entry, read_thing

EVENTS = st.lists(events_of(st.just([ADA])), max_size=12)
PRIORITY = {"web": 0, "crm": 5}


def numbered(events: Sequence[Event]) -> list[Event]:
    return [
        msgspec.structs.replace(event, event_id=f"e{number % 7}", source=f"s{number // 7}")
        for number, event in enumerate(events)
    ]


def facts(events: Sequence[Event]) -> list[Fact]:
    return [Fact(e, PRIORITY.get(e.source, 0), touch(enrich(e)), page(e)) for e in events]


def folded(*events: Event) -> Profile:
    return fold(EMPTY, facts(events))


def a_contribution(profile: Profile) -> Contribution[Profile]:
    return Contribution("user_id", "ada", First(NOON, "e1", "web"), NOON, {}, {}, profile)


@given(EVENTS.map(numbered), st.randoms(use_true_random=False), st.lists(st.integers(0, 12)))
def test_order_and_batches_do_not_show(
    events: list[Event], random: object, cuts: list[int]
) -> None:
    """Folding a permutation batch by batch gives the bytes of folding all at once."""
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    edges = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})

    profile = EMPTY
    for start, end in itertools.pairwise(edges):
        profile = fold(profile, facts(shuffled[start:end]))

    assert canonical_bytes(profile) == canonical_bytes(folded(*events))


@given(EVENTS.map(numbered), st.integers(0, 12), st.integers(0, 12))
def test_merging_parts_is_folding_the_whole(events: list[Event], a: int, b: int) -> None:
    """However events are divided among identifiers, merged they are the same profile."""
    low, high = sorted((a, b))
    parts = [folded(*events[:low]), folded(*events[low:high]), folded(*events[high:])]
    whole = folded(*events)

    assert merge(parts) == whole
    assert merge(reversed(parts)) == whole
    assert merge([merge(parts[:2]), parts[2]]) == merge([parts[0], merge(parts[1:])])


@settings(max_examples=20)
@given(EVENTS.map(numbered), st.randoms(use_true_random=False))
def test_what_exceeds_a_bound_is_dropped_by_rank_not_by_arrival(
    events: list[Event], random: object
) -> None:
    """Many more things, days, traits and entries than are kept: still a function of the set."""
    crowd = [
        an_event(
            f"many{n}",
            occurred_at=NOON + (n * 37 % 140) * DAY,
            order=an_order(n, order_id=f"order{n * 17 % 120}", products=[f"p{n % 50}"]),
            traits={f"trait{n * 13 % 100}": str(n), f"other{n % 90}": str(n)},
        )
        for n in range(200)
    ]
    everything = [*crowd, *events]
    shuffled = list(everything)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    inward = EMPTY
    for start in range(0, len(shuffled), 9):
        inward = fold(inward, facts(shuffled[start : start + 9]))

    assert canonical_bytes(inward) == canonical_bytes(folded(*everything))
    assert merge([folded(*shuffled[:70]), folded(*shuffled[70:])]) == inward
    assert len(inward.things) == THINGS
    assert len(inward.timeline) == TIMELINE_ENTRIES
    assert len(inward.traits) == TRAITS
    assert len(inward.days) == DAYS
    assert len(inward.order_days) == DAYS
    assert count(inward.uniques["products"]) >= 50


@given(EVENTS.map(numbered))
def test_decode_undoes_encode(events: list[Event]) -> None:
    """A change is what it was on the other side of the topic."""
    contribution = a_contribution(folded(*events))
    change = Change("shop", "c1", "nid", 0, 7, 1, as_sent(contribution))

    assert decode_change(encode_change(change)) == Told(change, contribution.profile)


@given(st.integers(1, 6))
def test_a_contribution_stays_within_its_bytes(length: int) -> None:
    """Lists give way, newest kept; counts and sums never do."""
    long = "ü" * 100
    profile = folded(
        *(
            an_event(
                f"{long}{n}"[-100:],
                name=long,
                occurred_at=NOON + n,
                order=an_order(n, order_id=f"{long}{n}"[-100:]),
                traits={f"{n}-{k}": '"' + "ß" * 1000 + '"' for k in range(length)},
            )
            for n in range(60)
        )
    )

    small = fitted(a_contribution(profile))

    assert len(canonical_bytes(small)) <= CONTRIBUTION_BYTES
    assert small.profile.events == 60
    assert small.profile.money == profile.money
    assert small.profile.order_days == profile.order_days
    assert small.profile.uniques == profile.uniques
    assert small.profile.timeline == profile.timeline[: len(small.profile.timeline)]
    assert fitted(small) == small


def test_money_is_summed_by_currency_and_action() -> None:
    """Placed, refunded and cancelled are kept apart; an update moves nothing."""
    profile = folded(
        an_event("e1", order=an_order(1995, products=["book", "pen"])),
        an_event("e2", order=an_order(500, action=OrderAction.REFUNDED)),
        an_event("e3", order=an_order(300, action=OrderAction.CANCELLED)),
        an_event("e4", order=an_order(9999, action=OrderAction.UPDATED)),
        an_event("e5", order=an_order(700, currency="JPY")),
    )

    assert profile.money == {"EUR": (1995, 500, 300), "JPY": (700, 0, 0)}
    assert (profile.orders, profile.refunds, profile.cancellations) == (2, 1, 1)
    assert profile.items == 3
    assert profile.events == 5


def test_orders_are_counted_by_day_with_what_they_came_to() -> None:
    """Refunds are not taken off: they are of another day."""
    profile = folded(
        an_event("e1", order=an_order(1995)),
        an_event("e2", order=an_order(5, currency="JPY")),
        an_event("e3", order=an_order(500, action=OrderAction.REFUNDED)),
        an_event("e4", occurred_at=NOON + DAY, order=an_order(7)),
    )

    assert profile.order_days == {
        "2023-11-14": (2, {"EUR": 1995, "JPY": 5}),
        "2023-11-15": (1, {"EUR": 7}),
    }


def test_of_a_day_s_many_currencies_the_first_by_code_are_kept() -> None:
    """In any order, and merged; the orders and the totals are all counted."""
    events = [
        an_event(f"e{n}", order=an_order(n, currency=currency))
        for n, currency in enumerate(("USD", "EUR", "CHF", "DKK", "EUR"))
    ]
    kept = {"2023-11-14": (5, {"CHF": 2, "DKK": 3, "EUR": 5})}

    assert folded(*events).order_days == kept
    assert merge([folded(event) for event in reversed(events)]).order_days == kept
    assert folded(*events).money["USD"] == (0, 0, 0)


def test_what_there_is_many_of_is_counted_once_each() -> None:
    """Pages, products, orders, conversations, days with any event."""
    message = Message(channel="chat", direction=Direction.INBOUND, conversation_id="t1")
    seen, again = (f'{{"page":{{"url":"https://shop.example/?{query}"}}}}' for query in "ab")
    profile = folded(
        an_event("e1", order=an_order(order_id="o1", products=["book", "pen"])),
        an_event("e2", order=an_order(order_id="o1", products=["book"])),
        an_event("e3", message=message),
        an_event("e4", message=message, occurred_at=NOON + DAY),
        an_event("e5", kind="page", context=seen),
        an_event("e6", kind="page", context=again),
    )

    assert {name: count(found) for name, found in profile.uniques.items()} == {
        "products": 2,
        "orders": 1,
        "conversations": 1,
        "days": 2,
        "pages": 1,
    }


def test_an_order_event_without_its_order_part_is_no_order() -> None:
    """`Order Completed` without an amount is counted as an event only."""
    profile = folded(an_event(name="Order Completed", family=Family.TRANSACTIONAL))

    assert profile.orders == 0
    assert profile.events == 1


def test_the_newest_trait_wins_and_of_one_moment_the_source_with_priority() -> None:
    """Time first; the priority of the source only decides between equals."""
    profile = folded(
        an_event("e1", occurred_at=NOON, source="crm", traits={"city": '"Paris"', "plan": '"a"'}),
        an_event("e2", occurred_at=NOON, source="web", traits={"city": '"Rome"'}),
        an_event("e3", occurred_at=NOON + 1, source="web", traits={"plan": '"b"'}),
    )

    assert profile.traits["city"].value == '"Paris"'
    assert profile.traits["plan"].value == '"b"'
    assert profile.traits["plan"].source == "web"


def test_an_organisation_s_traits_are_not_the_customer_s() -> None:
    """A `group` call tells which account; its traits are not folded."""
    profile = folded(an_event(kind="group", account_id="acme", traits={"name": '"Acme"'}))

    assert profile.traits == {}
    assert profile.accounts.keys() == {"acme"}


def test_a_too_long_trait_leaves_a_mark() -> None:
    """Its value is not kept, its length and where it came from are."""
    profile = folded(an_event(traits={"bio": '"' + "x" * 5000 + '"'}))

    assert profile.traits["bio"].value == '{"$omitted_characters":5002}'
    assert profile.traits["bio"].event_id == "e1"


def test_a_conversation_says_whose_turn_it_is() -> None:
    """The newest message decides: the customer waits, was answered, or it is closed."""
    inbound = Message(channel="whatsapp", direction=Direction.INBOUND, conversation_id="t1")
    outbound = Message(channel="whatsapp", direction=Direction.OUTBOUND, conversation_id="t1")
    asked = an_event("e1", message=inbound, name="Message Received")
    answered = an_event("e2", message=outbound, name="Message Sent", occurred_at=NOON + 1)
    closed = an_event("e3", message=outbound, name="Ticket Closed", occurred_at=NOON + 2)

    def state(*events: Event) -> str:
        (thing,) = folded(*events).things
        return read_thing(thing).state

    assert state(asked) == "awaiting_reply"
    assert state(answered, asked) == "answered"
    assert state(closed, answered, asked) == "closed"
    assert folded(closed, asked).messages_in == 1


@given(EVENTS.map(numbered))
def test_the_timeline_tells_the_newest_events_first(events: list[Event]) -> None:
    """Each as it happened, by time."""
    told = [read_entry(entry) for entry in folded(*events).timeline]

    assert [entry.occurred_at for entry in told] == sorted(
        (event.occurred_at for event in events), reverse=True
    )
    assert {(entry.event_id, entry.source): (entry.family, entry.name) for entry in told} == {
        (event.event_id, event.source): (event.family, event.name) for event in events
    }


def test_a_thing_says_what_its_newest_event_said() -> None:
    """An order by its id, whatever the length of the id, with its amount."""
    long = "ü" * 100
    profile = folded(
        an_event("e1", order=an_order(1995, order_id="o1")),
        an_event(
            "e2",
            occurred_at=NOON + 1,
            order=an_order(500, action=OrderAction.REFUNDED, order_id="o1"),
        ),
        an_event("e3", occurred_at=NOON - 1, order=an_order(7, order_id=long)),
        an_event("e4", occurred_at=NOON - 2, order=an_order(9, order_id=long)),
    )

    things = [read_thing(thing) for thing in profile.things]
    assert [(t.ref, t.state, t.event_id, t.amount, t.currency) for t in things] == [
        ("o1", "refunded", "e2", 500, "EUR"),
        (long, "placed", "e3", 7, "EUR"),
    ]


def test_first_and_last_touch_are_the_earliest_and_newest_campaigns() -> None:
    """Events without a campaign or a referrer touch nothing."""
    spring = an_event("e1", context='{"campaign":{"name":"spring","source":"mail"}}')
    winter = an_event("e2", occurred_at=NOON - 1, context='{"campaign":{"name":"winter"}}')

    profile = folded(spring, an_event("e3", occurred_at=NOON + 9), winter)

    assert profile.first_touch is not None
    assert profile.first_touch.values == (("campaign_name", "winter"),)
    assert profile.last_touch is not None
    assert profile.last_touch.values == (
        ("campaign_name", "spring"),
        ("campaign_source", "mail"),
    )


def test_sums_stay_within_64_bits() -> None:
    """More than others can read is shown as the most they can read."""
    profile = folded(*(an_event(f"e{n}", order=an_order(MAX_LONG)) for n in range(3)))

    assert profile.money["EUR"][0] == MAX_LONG
    assert merge([profile, folded(an_event("x", order=an_order(5)))]).money["EUR"][0] == MAX_LONG


def decided(*said: tuple[str, bool, int]) -> dict[str, ConsentMark]:
    consent: dict[str, ConsentMark] = {}
    for number, (purpose, granted, at) in enumerate(said):
        consent = fold_consent(
            consent,
            [ConsentDecision(purpose, granted)],
            occurred_at=at,
            event_id=f"e{number}",
            source="web",
        )
    return consent


def test_an_identifier_s_newest_decision_counts_and_of_one_moment_the_refusal() -> None:
    """A later grant takes a refusal back; one of the same millisecond does not."""
    assert decided(("ads", False, 1), ("ads", True, 2))["ads"].refused is False
    assert decided(("ads", True, 2), ("ads", False, 1))["ads"].refused is False
    assert decided(("ads", True, 1), ("ads", False, 1))["ads"].refused is True
    assert decided(("ads", False, 1), ("ads", True, 1))["ads"].refused is True


def test_a_merge_never_widens_consent() -> None:
    """A refusal of any identifier refuses for the customer, however old."""
    refused, granted = decided(("ads", False, 1)), decided(("ads", True, 9), ("mail", True, 9))

    merged = merge_consent([refused, granted])

    assert merged["ads"].refused
    assert not merged["mail"].refused
    assert merge_consent([granted, refused]) == merged


@pytest.mark.parametrize("order", [1, -1])
def test_forgotten_purposes_are_refused(order: int) -> None:
    """An identifier with too many purposes keeps the first by name; nobody can grant the others."""
    purposes = [f"p{n:02}" for n in range(PURPOSES + 5)][::order]
    full = decided(*((purpose, False, 1) for purpose in purposes))
    other = decided((f"p{PURPOSES + 2:02}", True, 9), ("a", True, 9))

    merged = merge_consent([full, other])

    assert len(full) == PURPOSES
    assert f"p{PURPOSES + 2:02}" not in merged
    assert not merged["a"].refused
