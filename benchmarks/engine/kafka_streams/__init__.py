"""What Kafka Streams needs here: its source, and its jars pinned beside those of the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from customeros.runtime.stack import jars

SOURCE: Final = Path(__file__).with_name("Summing.java")
LOCK_FILE: Final = Path(__file__).with_name("jgo.lock.toml")
_FOLDER: Final = f"kafka-streams-{jars.KAFKA_VERSION}"
_ENDPOINTS: Final = (
    f"org.apache.kafka:kafka-streams:{jars.KAFKA_VERSION}",
    "org.msgpack:msgpack-core:0.9.10!",
)


def classpath() -> list[Path]:
    """
    The broker's jars and those of the lock, verified.

    Raises:
        Misconfigured: a jar is missing and cannot be fetched.
    """
    beside = jars.read_lock(LOCK_FILE.read_text())
    return [
        *jars.kafka_classpath(),
        *jars.classpath(beside, jars.default_cache() / _FOLDER, "Kafka Streams"),
    ]


def resolve_lock() -> str:
    """The text of `jgo.lock.toml`, resolved anew."""
    return jars.resolve_lock(_ENDPOINTS, but=jars.read_lock())
