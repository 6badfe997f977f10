"""A customer's state, from what its identifiers contribute."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from customeros.processors.profile.bounds import STATE_BYTES
from customeros.processors.profile.customer import Member, customer_state, retired_state
from customeros.processors.profile.entries import encoder
from customeros.processors.profile.fold import fold, fold_consent
from customeros.processors.profile.model import EMPTY, Contribution, Fact, First, as_sent
from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.event import ConsentDecision, Event
from customeros.schemas.identifier import DEFAULT_RULES, Identifier
from support.histories import ADA, NOON, WORKSPACE, an_event, an_order, events_of, key_of
from support.listed import as_read

EVENTS = st.lists(events_of(st.just([ADA])), max_size=5)


def a_member(
    *events: Event,
    identifier: Identifier = ADA,
    version: int = 0,
    refuses: str | None = None,
    beside: dict[str, int] | None = None,
    seen_at: int = NOON,
) -> Member:
    consent = fold_consent(
        {},
        (ConsentDecision(refuses, False),) if refuses else (),
        occurred_at=NOON,
        event_id="e0",
        source="web",
    )
    profile = fold(EMPTY, [Fact(event) for event in events])
    first = First(seen_at, "e0", "web")
    last_at = max((event.occurred_at for event in events), default=0)
    return Member(
        version,
        1,
        as_sent(
            Contribution(
                identifier.type, identifier.value, first, last_at, beside or {}, consent, profile
            )
        ),
    )


def state_of(**members: Member) -> CustomerState:
    return as_read(CUSTOMER_STATE, customer_state(WORKSPACE, "c1", members, DEFAULT_RULES))


@given(st.lists(EVENTS, min_size=2, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_members_does_not_show(parts: list[list[Event]], random: object) -> None:
    """Nor do versions in the digest; and with the version that it is given it is read again."""
    members = {}
    for number, events in enumerate(parts):
        named = [
            msgspec.structs.replace(event, event_id=f"{number}-{n}")
            for n, event in enumerate(events)
        ]
        cookie = Identifier("anonymous_id", f"cookie{number}")
        members[key_of(cookie)] = a_member(*named, identifier=cookie, version=number)
    items = list(members.items())
    random.shuffle(items)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    later = {nid: msgspec.structs.replace(m, assignment_version=99) for nid, m in items}

    state = customer_state(WORKSPACE, "c1", members, DEFAULT_RULES)

    assert customer_state(WORKSPACE, "c1", dict(items), DEFAULT_RULES) == state
    assert customer_state(WORKSPACE, "c1", later, DEFAULT_RULES).state.digest == state.state.digest
    found = CUSTOMER_STATE.decode(encoder(CUSTOMER_STATE)(state, 7))
    assert found == msgspec.structs.replace(as_read(CUSTOMER_STATE, state), version=7)
    assert len(found.timeline) == sum(map(len, parts))


def test_equal_digests_mean_equal_content() -> None:
    """One more event, one other value: another digest."""
    one, two = state_of(a=a_member(an_event("e1"))), state_of(a=a_member(an_event("e2")))

    assert one.digest != two.digest
    assert one.digest == state_of(a=a_member(an_event("e1"))).digest
    assert retired_state(WORKSPACE, "c1", merged_into="c2").state.digest != one.digest


def test_two_user_ids_are_never_shown_together() -> None:
    """While one moves, the one assigned last is shown with what it contributes."""
    stays = a_member(an_event("e1", order=an_order(100)), version=5)
    leaves = a_member(
        an_event("e2", order=an_order(900)), identifier=Identifier("user_id", "eve"), version=3
    )

    state = state_of(a=stays, b=leaves)

    assert [known.value for known in state.identifiers] == ["ada"]
    assert state.metrics.money["EUR"].placed == 100


def test_what_the_rules_of_the_last_assignment_allow_is_shown() -> None:
    """Rules may have been adopted that the configuration does not say yet."""
    eve = Identifier("user_id", "eve")
    ada, allowed = a_member(version=1), a_member(identifier=eve, version=2)

    def users(limit: int) -> list[str | None]:
        state = state_of(ada=ada, eve=msgspec.structs.replace(allowed, limit=limit))
        return [known.value for known in state.identifiers]

    assert users(2) == users(0) == ["ada", "eve"]
    assert users(1) == users(-1) == ["eve"]


def test_a_refusal_counts_even_of_an_identifier_that_is_not_shown() -> None:
    """Consent never widens, not for a moment."""
    leaves = a_member(identifier=Identifier("user_id", "eve"), version=3, refuses="ads")

    state = state_of(a=a_member(version=5), b=leaves)

    assert state.consent["ads"].granted is False


def test_an_identifier_was_last_seen_where_any_event_of_the_customer_names_it() -> None:
    """Its own events, or those that are keyed by another of the customer's identifiers."""
    mail = Identifier("email", "ada@example.com")
    state = state_of(
        a=a_member(an_event(occurred_at=NOON + 5), beside={"b": NOON + 4, "elsewhere": NOON}),
        b=a_member(identifier=mail, seen_at=NOON - 1),
    )

    seen = {known.value: (known.first_seen_at, known.last_seen_at) for known in state.identifiers}
    assert seen == {"ada": (NOON, NOON + 5), mail.value: (NOON - 1, NOON + 4)}


def test_a_trait_set_to_null_is_gone() -> None:
    """And an older value of another identifier does not come back."""
    state = state_of(
        a=a_member(an_event("e2", occurred_at=NOON + 1, traits={"city": "null", "plan": '"a"'})),
        b=a_member(
            an_event("e1", traits={"city": '"Rome"'}), identifier=Identifier("email", "a@b.example")
        ),
    )

    assert list(state.traits) == ["plan"]


def test_a_state_stays_within_its_bytes() -> None:
    """A thousand identifiers with long lists: the newest stay, all money is counted."""
    members = {}
    for number in range(1000):
        cookie = Identifier("anonymous_id", f"{number:0250}")
        events = [
            an_event(
                f"{number}-{n}",
                occurred_at=NOON + number,
                traits={f"trait{number}-{n}": '"' + "x" * 1000 + '"'},
                order=an_order(1, order_id=f"{number}-{n}"),
            )
            for n in range(3)
        ]
        members[key_of(cookie)] = a_member(*events, identifier=cookie, version=number)
    user = a_member(seen_at=NOON - 10**9)

    members[key_of(ADA)] = user
    listed = customer_state(WORKSPACE, "c1", members, DEFAULT_RULES)
    written = encoder(CUSTOMER_STATE)(listed, NOON)

    assert len(written) <= STATE_BYTES
    state = CUSTOMER_STATE.decode(written)
    assert state.metrics.money["EUR"].placed == 3000
    assert state.identifiers[-1].type == "user_id"
    assert len(state.identifiers) > 90


def test_a_customer_without_identifiers_says_where_they_went() -> None:
    """Merged into another one; erased where they went nowhere."""
    assert retired_state(WORKSPACE, "c1", merged_into="c2").state.status is Status.MERGED
    assert retired_state(WORKSPACE, "c1", merged_into=None).state.status is Status.ERASED
