"""What do the engines of the JVM need here? Their sources, and jars pinned beside the broker's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from customeros.runtime.stack import jars
from customeros.runtime.stack.cache import default_cache

_HERE: Final = Path(__file__).parent
_FLINK: Final = "2.2.1"
_MSGPACK: Final = "org.msgpack:msgpack-core:0.9.10!"
# Of jgo: `!` keeps an endpoint out of the version management of the others.
_ENDPOINTS: Final[Mapping[str, Sequence[str]]] = {
    "kafka_streams": (f"org.apache.kafka:kafka-streams:{jars.KAFKA_VERSION}", _MSGPACK),
    "flink": (
        *(
            f"org.apache.flink:{name}:{_FLINK}"
            for name in (
                "flink-runtime",
                "flink-streaming-java",
                "flink-clients",
                "flink-statebackend-rocksdb",
            )
        ),
        f"org.apache.flink:flink-connector-base:{_FLINK}!",
        "org.apache.flink:flink-connector-kafka:5.0.0-2.2!",
        _MSGPACK,
    ),
}
_FOLDERS: Final = {
    "kafka_streams": f"kafka-streams-{jars.KAFKA_VERSION}",
    "flink": f"flink-{_FLINK}",
}


def sources(main: str) -> list[Path]:
    """The class *main* and what it shares with the others."""
    return [_HERE / f"{main}.java", _HERE / "Job.java"]


def classpath(engine: str) -> list[Path]:
    """
    The broker's jars and those of the engine's lock, verified.

    Raises:
        Misconfigured: a jar is missing and cannot be fetched.
    """
    beside = jars.read_lock((_HERE / f"{engine}.lock.toml").read_text())
    return [
        *jars.kafka_classpath(),
        *jars.classpath(beside, default_cache() / _FOLDERS[engine], engine),
    ]


def resolve_lock(engine: str) -> str:
    """The text of its lock file, resolved anew."""
    return jars.resolve_lock(_ENDPOINTS[engine], but=jars.read_lock())
