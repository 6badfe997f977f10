"""The evidence of all workspaces, found by either identifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from customeros.runtime.stream.store import DictStore, Store
from customeros.schemas.codec import ASSIGNMENT, IDENTITY_LINK
from customeros.schemas.identifier import IdentifierKey, customer_id
from customeros.schemas.identity import IdentityChange, IdentityLink, Refusal
from customeros.schemas.topics import topic_key
from customeros.sdk.lookup import Copy
from customeros.serving.identity.changes import Changes
from customeros.serving.kept import Kept

# Rows of the index, before all values: an identifier and what names it; what joined nobody.
_BESIDE, _REFUSED, _INDEX_END = b"\0", b"\1", b"\2"
_JOINING: Final = (None, Refusal.WEAK)


class Links(Kept):
    """Values of `identity.links` by key, as a `LiveCopy` stores them, with an index."""

    def __init__(self, store: Store | None = None) -> None:
        super().__init__(store or DictStore())

    def __iter__(self) -> Iterator[bytes]:
        return (name for name, _ in self._store.scan(b"", _INDEX_END))

    def naming(self, workspace: str, key: str) -> list[IdentityLink]:
        """All that names *key* and another identifier."""
        beside = _BESIDE + topic_key(workspace, key) + b"\0"
        names = [row[len(beside) :] for row, _ in self._store.scan(beside)]
        found = self._store.get_many([name for name in names if not name.endswith(b".")])
        return [IDENTITY_LINK.decode(value) for value in found if value is not None]

    def named(self, workspace: str) -> Iterator[str]:
        """Every identifier that evidence names."""
        start = _BESIDE + topic_key(workspace, "")
        ends = (row[len(start) :].partition(b"\0")[0] for row, _ in self._store.scan(start))
        return (end.decode() for end, _ in groupby(ends))

    def quarantined(self, workspace: str, key: str) -> bool:
        return topic_key(workspace, f"{key}.") in self

    def overflown(self, workspace: str, key: str) -> bool:
        """Whether it is quarantined, and not all of its neighbours were kept."""
        value = self.get(topic_key(workspace, f"{key}."))
        return value is not None and not IDENTITY_LINK.decode(value).complete

    def refused(self, workspace: str) -> list[IdentityLink]:
        """Evidence that joined nobody, and identifiers that are quarantined; newest first."""
        start = _REFUSED + topic_key(workspace, "")
        names = [row[len(_REFUSED) :] for row, _ in self._store.scan(start)]
        values = self._store.get_many(names)
        found = [IDENTITY_LINK.decode(value) for value in values if value is not None]
        return sorted(found, key=lambda one: (one.version, one.a, one.b), reverse=True)

    def _write(self, writes: Mapping[bytes, bytes | None]) -> None:
        """Together with its rows of the index."""
        rows: dict[bytes, bytes | None] = dict(writes)
        for name, value in writes.items():
            here = None if value is None else b""
            rows |= {_BESIDE + end + b"\0" + name: here for end in _ends(name)}
            # What only suggests was never to join anybody, so it is no conflict.
            refused = value is not None and IDENTITY_LINK.decode(value).refused not in _JOINING
            rows[_REFUSED + name] = b"" if refused else None
        super()._write(rows)


class WorkspaceGraph:
    """One workspace's public evidence, assignments and changes."""

    def __init__(self, workspace: str, links: Links, assignments: Copy, changes: Changes) -> None:
        self.workspace = workspace
        self._links = links
        self._assignments = assignments
        self._changes = changes

    def identifiers(self) -> Iterator[str]:
        """Every identifier that evidence names."""
        return self._links.named(self.workspace)

    def links(self, key: str) -> list[IdentityLink]:
        return self._links.naming(self.workspace, key)

    def quarantined(self, key: str) -> bool:
        return self._links.quarantined(self.workspace, key)

    def overflown(self, key: str) -> bool:
        """Whether *key* is quarantined and had more neighbours than were kept."""
        return self._links.overflown(self.workspace, key)

    def splits(self, key: str) -> Sequence[IdentityChange]:
        return self._changes.splits(self.workspace, key)

    def change(self, change_id: str) -> IdentityChange | None:
        """What a person changed, by its id."""
        return self._changes.of(self.workspace, change_id)

    def customer(self, key: str) -> str:
        raw = self._assignments.get(topic_key(self.workspace, key))
        if raw is None:
            return customer_id(self.workspace, IdentifierKey(key))
        return ASSIGNMENT.decode(raw).customer_id

    def epoch(self, key: str) -> int:
        """How often *key* was erased."""
        raw = self._assignments.get(topic_key(self.workspace, key))
        return 0 if raw is None else ASSIGNMENT.decode(raw).epoch


def _ends(name: bytes) -> tuple[bytes, ...]:
    workspace, _, pair = name.partition(b"/")
    return tuple(workspace + b"/" + end for end in pair.split(b".") if end)
