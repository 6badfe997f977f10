"""Customer states and assignments for tests: name only what matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
)

from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, KnownIdentifier
from customeros.schemas.identifier import CustomerId, Identifier, customer_id, identifier_key
from customeros.schemas.identity import Assignment, IdentityLink, Proof
from customeros.schemas.topics import topic_key

WORKSPACE = "default"
WORKSPACE_KEY = b"a key for tests"
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def own_id(kind: str, value: str) -> CustomerId:
    """The customer that an identifier is when it stands alone."""
    return customer_id(WORKSPACE, identifier_key(WORKSPACE_KEY, Identifier(kind, value)))


def known(kind: str, value: str, **facts: Any) -> KnownIdentifier:
    """An identifier of a customer, seen at noon."""
    usual = {"source": "demo", "first_seen_at": NOON, "last_seen_at": NOON, "since": 0}
    facts = {**usual, **facts}
    key = identifier_key(WORKSPACE_KEY, Identifier(kind, value))
    return KnownIdentifier(key=key, type=kind, value=value, **facts)


def a_state(customer: str, **facts: Any) -> CustomerState:
    """A state of version 1 in the default workspace."""
    facts = {"workspace": WORKSPACE, "version": 1, "digest": "d", **facts}
    return CustomerState(customer_id=customer, **facts)


def an_assignment(kind: str, value: str, customer: str, *, version: int = 1) -> Assignment:
    """The identifier belongs to the customer."""
    return Assignment(
        workspace=WORKSPACE,
        key=identifier_key(WORKSPACE_KEY, Identifier(kind, value)),
        type=kind,
        customer_id=customer,
        version=version,
        epoch=0,
        cause="m1",
    )


def a_link(one: str, other: str, **facts: Any) -> IdentityLink:
    """Evidence for two identifiers written `type:value`, by one event."""
    (a, a_type), (b, b_type) = sorted(
        (identifier_key(WORKSPACE_KEY, Identifier(*text.split(":"))), text.split(":")[0])
        for text in (one, other)
    )
    usual = {"event_id": "order-1", "occurred_at": NOON, "source": "shop", "rule": "seen_track"}
    said = {name: facts.get(name, value) for name, value in usual.items()}
    facts = {"version": NOON, "strength": 1, "proofs": (Proof(**said),), **said, **facts}
    return IdentityLink(workspace=WORKSPACE, a=a, b=b, a_type=a_type, b_type=b_type, **facts)


def state_record(state: CustomerState) -> tuple[bytes, bytes]:
    """Key and value of a state on its topic."""
    return topic_key(state.workspace, state.customer_id), CUSTOMER_STATE.encode(state)


def assignment_record(assignment: Assignment) -> tuple[bytes, bytes]:
    """Key and value of an assignment on its topic."""
    return topic_key(assignment.workspace, assignment.key), ASSIGNMENT.encode(assignment)


def copy_of(*values: CustomerState | Assignment) -> dict[bytes, bytes]:
    """What a live copy holds after these values."""
    return dict(
        state_record(v) if isinstance(v, CustomerState) else assignment_record(v) for v in values
    )


def create_topic(bootstrap: str, name: str, *, partitions: int = 2, **config: str) -> None:
    """A compacted topic."""
    topic = NewTopic(name, partitions, 1, config={"cleanup.policy": "compact", **config})
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([topic]).values():
        future.result(30)


def produce(
    bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]
) -> None:
    """Write records and wait until the broker has them."""
    _write(
        Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"}), topic, records
    )


def produce_transaction(
    bootstrap: str,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None]],
    *,
    commit: bool,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write records in one transaction, then commit or abort it."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "transactional.id": f"{topic}-test",
            **(settings or {}),
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    _write(producer, topic, records)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def _write(
    producer: Producer, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]
) -> None:
    refused: list[str] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error.name())

    for key, value in records:
        producer.produce(topic, key=key, value=value, on_delivery=delivered)
    assert producer.flush(30) == 0
    assert not refused
