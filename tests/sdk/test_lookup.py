"""Which state answers for an id or an identifier."""

from __future__ import annotations

from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.identifier import Identifier, IdentifierKey, identifier_key
from customeros.schemas.identity import Assignment
from customeros.sdk.lookup import Customers
from support.customers import WORKSPACE, WORKSPACE_KEY, a_state, an_assignment, copy_of, own_id

ADA = own_id("email", "ada@example.com")
BOB = own_id("user_id", "bob")


def key_of(kind: str, value: str) -> IdentifierKey:
    return identifier_key(WORKSPACE_KEY, Identifier(kind, value))


def customers(*values: CustomerState | Assignment) -> Customers:
    return Customers(
        copy_of(*(v for v in values if isinstance(v, CustomerState))),
        copy_of(*(v for v in values if isinstance(v, Assignment))),
    )


def test_an_identifier_without_assignment_is_its_own_customer() -> None:
    """So a single identifier is found before any graph has spoken."""
    found = customers(a_state(ADA)).by_key(WORKSPACE, key_of("email", "ada@example.com"))

    assert found is not None
    assert found.state.customer_id == ADA


def test_an_assigned_identifier_is_found_where_it_went() -> None:
    """The assignment wins over the identifier's own customer."""
    both = customers(
        a_state(ADA, status=Status.MERGED, merged_into=BOB),
        a_state(BOB),
        an_assignment("email", "ada@example.com", BOB),
    )

    found = both.by_key(WORKSPACE, key_of("email", "ada@example.com"))

    assert found is not None
    assert (found.state.customer_id, found.merged_from) == (BOB, None)


def test_a_merged_id_answers_with_its_survivor() -> None:
    """And says which id was asked for."""
    both = customers(a_state(ADA, status=Status.MERGED, merged_into=BOB), a_state(BOB))

    found = both.by_id(WORKSPACE, ADA)

    assert found is not None
    assert (found.state.customer_id, found.merged_from) == (BOB, ADA)


def test_an_assignment_ahead_of_its_state_answers_with_the_state_there_is() -> None:
    """Topics of different partitions arrive at different times; nobody vanishes meanwhile."""
    ahead = customers(a_state(ADA), an_assignment("email", "ada@example.com", BOB))

    found = ahead.by_key(WORKSPACE, key_of("email", "ada@example.com"))

    assert found is not None
    assert found.state.customer_id == ADA


def test_at_most_one_hop_is_followed() -> None:
    """Two customers merged into each other for a moment do not make a loop."""
    loop = customers(
        a_state(ADA, status=Status.MERGED, merged_into=BOB),
        a_state(BOB, status=Status.MERGED, merged_into=ADA),
    )

    found = loop.by_id(WORKSPACE, ADA)

    assert found is not None
    assert found.state.status is Status.MERGED


def test_an_unknown_customer_is_none() -> None:
    """Also in another workspace."""
    known = customers(a_state(ADA))

    assert known.by_id(WORKSPACE, BOB) is None
    assert known.by_id("elsewhere", ADA) is None
    assert known.by_key(WORKSPACE, key_of("user_id", "bob")) is None
