"""What aiokafka's clients make of a broker that is away: they are told, or wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_LOG: Final = structlog.get_logger()
_RETRY_SECONDS: Final = 1.0
_SEND: Final = AIOKafkaConnection.send


def tell_of_closed_connections() -> None:
    """
    A request over a connection that is closed raises a `KafkaConnectionError` on uvloop too.

    There its transport raises a `RuntimeError`, which aiokafka does not expect and which ends its
    consumer for good (aio-libs/aiokafka, issue 1038).
    """
    AIOKafkaConnection.send = _send


def wait_for_broker(client: AIOKafkaClient, *, away: Callable[[], object]) -> None:
    """Let *client* begin once a broker is there; each time that none is, *away* is told."""
    begin = client.bootstrap

    async def begin_once_there() -> None:
        while True:
            try:
                return await begin()  # type: ignore[no-any-return]  # it has no types
            except KafkaConnectionError:
                _LOG.warning("kafka_unavailable", retry_seconds=_RETRY_SECONDS)
                away()
                await asyncio.sleep(_RETRY_SECONDS)

    client.bootstrap = begin_once_there


def _send(connection: Any, *request: Any, **how: Any) -> Any:
    try:
        return _SEND(connection, *request, **how)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError("the connection is closed") from error
