"""A connection that a broker closes is told of in aiokafka's own words, on uvloop too."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from customeros.runtime.connections import tell_of_closed_connections

pytestmark = pytest.mark.integration


async def _closed_unnoticed(bootstrap: str) -> AIOKafkaConnection:
    """A connection that is closed, which aiokafka has yet to be told."""
    host, port = bootstrap.split(":")
    connection = await create_conn(host, int(port))
    await connection.send(MetadataRequest([]))
    connection._read_task.cancel()  # it is the one that is told
    transport = connection._writer.transport
    transport.abort()
    while "closed=True" not in repr(transport):
        await asyncio.sleep(0)
    assert connection._writer is not None
    return connection


async def _ask_over_a_closed_connection(bootstrap: str) -> None:
    connection = await _closed_unnoticed(bootstrap)
    with pytest.raises(KafkaConnectionError):
        connection.send(MetadataRequest([]))
    assert connection._writer is None


def test_a_request_over_a_closed_connection_says_so(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AIOKafkaConnection, "send", AIOKafkaConnection.send)
    tell_of_closed_connections()

    uvloop.run(_ask_over_a_closed_connection(kafka_bootstrap))
