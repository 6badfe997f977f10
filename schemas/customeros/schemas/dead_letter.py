"""A record we gave up on, as it came, with its reason and where it came from."""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the record was: a place in a topic, or a request to the collector (`topic` None)."""

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """
    Args:
        source: the connector it came through; the topic's key.
        stage: the process that gave up: `collector`, `resolve`, `sink`, ….
        reason: a stable code; `detail` a sentence without personal data.
        value: the record as it came (of a batch: the one event, as JSON).
        failed_at: ms since the epoch.
    """

    workspace: str
    source: str
    stage: str
    reason: str
    detail: str
    origin: Origin
    failed_at: int
    key: bytes | None
    value: bytes
