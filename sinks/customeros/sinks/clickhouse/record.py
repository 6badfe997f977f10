"""A record of a source topic, and what its key names."""

from __future__ import annotations

from typing import Any, NamedTuple

from customeros.schemas.codec import Undecodable
from customeros.schemas.topics import Topic

Row = tuple[Any, ...]


class Record(NamedTuple):
    """
    A record of a source topic as the broker gave it.

    Args:
        topic: without the prefix.
        timestamp: when it was produced, ms.
    """

    topic: Topic
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    timestamp: int


def name_in(key: bytes) -> tuple[str, str]:
    """Workspace and name of the key bytes `workspace/name`."""
    try:
        workspace, slash, name = key.decode().partition("/")
    except UnicodeDecodeError:
        slash = ""
    if not slash:
        raise Undecodable("a tombstone's key is not workspace/name")
    return workspace, name
