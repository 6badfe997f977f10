"""What a live copy holds, on disk: memory stays bounded, however many customers there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from customeros.runtime.settings import Settings
from customeros.runtime.stream.rocks import open_store
from customeros.runtime.stream.store import NOWHERE, Store
from customeros.schemas.topics import Topic


class Kept(MutableMapping[bytes, bytes]):
    """Values by key in *store*; written by one thread and read by others."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, key: bytes) -> bytes:
        (value,) = self._store.get_many((key,))
        if value is None:
            raise KeyError(key)
        return value

    def get(self, key: bytes, default: Any = None) -> Any:
        """Without an exception for every key that is not there."""
        (value,) = self._store.get_many((key,))
        return default if value is None else value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._write({key: value})

    def __delitem__(self, key: bytes) -> None:
        self[key]
        self._write({key: None})

    def update(self, *values: Any, **named: Any) -> None:
        """All at once, which costs a fraction of one after another."""
        self._write(dict(*values, **named))

    def __iter__(self) -> Iterator[bytes]:
        return (key for key, _ in self._store.scan(b""))

    def __len__(self) -> int:
        """Counts them, which takes as long as reading all."""
        return sum(1 for _ in self)

    def _write(self, writes: Mapping[bytes, bytes | None]) -> None:
        self._store.write(writes, NOWHERE)


def store_of(settings: Settings, topic: Topic) -> Store:
    """An empty store for a live copy of *topic*; what an earlier process left in it is gone."""
    store = open_store(
        settings.home / "state" / f"{settings.prefix}api" / topic.name,
        cache_bytes=settings.worker.cache_mb << 20,
    )
    store.clear()
    return store
