"""Where one partition's committed state lies: what a transaction wrote, and up to which offset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from customeros.runtime.stream.entries import Entries


class Position(NamedTuple):
    """
    How far a store follows its changelog.

    Args:
        offset: of the last changelog record in it; -1: none.
        topic_id: the broker's id of the changelog, which a topic of the same name made anew
            does not share; empty: unknown.
        written_at: when that was, ms.
    """

    offset: int = -1
    topic_id: str = ""
    written_at: int = 0


NOWHERE: Final = Position()


class Store(Protocol):
    """
    Bytes by bytes. One thread writes, one other may read meanwhile: it sees all of a `write` or
    nothing, key by key.
    """

    @property
    def position(self) -> Position:
        """What the last `write` said."""

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values at *keys*, in their order."""

    def scan(self, prefix: bytes, beyond: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """
        Entries whose key starts with *prefix*, those after the key *beyond*.

        They are ascending, and as of the time of the call.
        """

    def write(self, writes: Mapping[bytes, bytes | None], position: Position) -> None:
        """Set and (None) delete, and move the position, all or nothing."""

    def close(self) -> None:
        """Let go of files; calling twice is harmless."""


class DictStore:
    """A store that lives as long as its process."""

    def __init__(self) -> None:
        self._entries: Entries[bytes] = Entries()
        self.position = NOWHERE

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return list(map(self._entries.values.get, keys))

    def scan(self, prefix: bytes, beyond: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        values = self._entries.values
        return iter([(key, values[key]) for key in self._entries.keys(prefix, beyond)])

    def write(self, writes: Mapping[bytes, bytes | None], position: Position) -> None:
        for key, value in writes.items():
            if value is None:
                self._entries.remove(key)
            else:
                self._entries.put(key, value)
        self.position = position

    def close(self) -> None:
        pass
