"""What an application sees: customers by id and by identifier, and their changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from customeros.schemas.customer import Status
from customeros.sdk import CustomerChange, CustomerStates
from support.customers import (
    WORKSPACE_KEY,
    a_state,
    an_assignment,
    assignment_record,
    create_topic,
    own_id,
    produce,
    state_record,
)

pytestmark = pytest.mark.integration

ADA = own_id("email", "ada@example.com")
BOB = own_id("user_id", "bob")


@pytest.fixture
def customers(kafka_bootstrap: str, unique: str) -> Iterator[CustomerStates]:
    """Ada, who was merged into Bob by her address; somebody of another workspace."""
    states, assignments = f"{unique}customer-state", f"{unique}identity.assignments"
    create_topic(kafka_bootstrap, states)
    create_topic(kafka_bootstrap, assignments)
    merged = a_state(ADA, status=Status.MERGED, merged_into=BOB)
    elsewhere = a_state("c1", workspace="elsewhere")
    produce(kafka_bootstrap, states, map(state_record, (merged, a_state(BOB), elsewhere)))
    assigned = an_assignment("email", "ada@example.com", BOB)
    produce(kafka_bootstrap, assignments, [assignment_record(assigned)])
    with CustomerStates(kafka_bootstrap, workspace_key=WORKSPACE_KEY, topic_prefix=unique) as found:
        assert found.wait_ready(30)
        yield found


def test_customers_are_found_by_id_and_by_identifier(customers: CustomerStates) -> None:
    """A merged id and an address written otherwise lead to the same survivor."""
    assert customers.get(BOB) == a_state(BOB)
    assert customers.get(ADA) == a_state(BOB)
    assert customers.get_by_identifier("email: ADA@example.com") == a_state(BOB)
    assert customers.get_by_identifier("email:eve@example.com") is None
    assert list(customers) == [a_state(BOB)]
    with pytest.raises(ValueError, match="no email"):
        customers.get_by_identifier("email:nobody")


def test_changes_are_those_of_the_own_workspace(
    customers: CustomerStates, kafka_bootstrap: str, unique: str
) -> None:
    """First everybody, then what comes."""
    changes = customers.changes(from_start=True)
    everybody = {change.customer_id for change in islice(changes, 2)}

    produce(kafka_bootstrap, f"{unique}customer-state", [(f"default/{BOB}".encode(), None)])

    assert everybody == {ADA, BOB}
    assert next(changes) == CustomerChange(BOB, None)
