"""The stock clients of a schema registry, unchanged, against ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from customeros.schemas import codec
from customeros.schemas.codec import AvroCodec
from customeros.schemas.topics import TOPICS, Topic
from support import samples
from support.customers import WORKSPACE

PUBLIC = [topic for topic in TOPICS if topic.schema]
CODECS = {found.name: found for found in vars(codec).values() if isinstance(found, AvroCodec)}


@pytest.fixture
def registry(api_url: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": f"{api_url}/registry"}) as client:
        yield client


@pytest.mark.parametrize("topic", PUBLIC, ids=lambda topic: topic.name)
def test_the_stock_deserializer_reads_every_public_topic(
    registry: SchemaRegistryClient, topic: Topic
) -> None:
    """With nothing but the registry's URL; times arrive as datetimes by their logical type."""
    assert topic.schema is not None
    value = samples.ALL[topic.schema]
    context = SerializationContext(topic.name, MessageField.VALUE)

    found = AvroDeserializer(registry)(CODECS[topic.schema].encode(value), context)

    assert found.keys() == set(value.__struct_fields__)
    event = found.get("event", found)
    assert event["workspace"] == WORKSPACE
    if "occurred_at" in event:
        assert event["occurred_at"] == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_stock_serializer_writes_what_we_read(registry: SchemaRegistryClient) -> None:
    """An application may produce events with the schema it looks up."""
    value = samples.ALL["assignment"]
    options = {"auto.register.schemas": False, "use.latest.version": True}
    write = AvroSerializer(registry, conf=options)
    context = SerializationContext("identity.assignments", MessageField.VALUE)

    data = write(msgspec.to_builtins(value), context)

    assert codec.ASSIGNMENT.decode(data) == value
