"""The evidence of all workspaces in memory, found by either identifier."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence

from customeros.schemas.codec import ASSIGNMENT, IDENTITY_LINK
from customeros.schemas.identifier import IdentifierKey, customer_id
from customeros.schemas.identity import IdentityChange, IdentityLink, Refusal
from customeros.schemas.topics import topic_key
from customeros.sdk.lookup import Copy
from customeros.serving.identity.changes import Changes


class Links(MutableMapping[bytes, bytes]):
    """
    Values of `identity.links` by key, as a `LiveCopy` stores them, with an index.

    Written by one thread and read by others: an index entry is replaced, never changed.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._beside: dict[bytes, tuple[bytes, ...]] = {}
        self._refused: dict[bytes, None] = {}

    def __getitem__(self, name: bytes) -> bytes:
        return self._values[name]

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name not in self._values:
            for end in _ends(name):
                self._beside[end] = (*self._beside.get(end, ()), name)
        self._values[name] = value
        # What only suggests was never to join anybody, so it is no conflict.
        if IDENTITY_LINK.decode(value).refused in (None, Refusal.WEAK):
            self._refused.pop(name, None)
        else:
            self._refused[name] = None

    def __delitem__(self, name: bytes) -> None:
        del self._values[name]
        self._refused.pop(name, None)
        for end in _ends(name):
            left = tuple(other for other in self._beside.get(end, ()) if other != name)
            if left:
                self._beside[end] = left
            else:
                self._beside.pop(end, None)

    def __iter__(self) -> Iterator[bytes]:
        return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def naming(self, workspace: str, key: str) -> list[IdentityLink]:
        """All that names *key* and another identifier."""
        names = self._beside.get(topic_key(workspace, key), ())
        found = [self._values.get(name) for name in names if not name.endswith(b".")]
        return [IDENTITY_LINK.decode(value) for value in found if value is not None]

    def named(self, workspace: str) -> Iterator[str]:
        """Every identifier that evidence names."""
        start = topic_key(workspace, "")
        for end in list(self._beside):
            if end.startswith(start):
                yield end[len(start) :].decode()

    def quarantined(self, workspace: str, key: str) -> bool:
        return topic_key(workspace, f"{key}.") in self._values

    def overflown(self, workspace: str, key: str) -> bool:
        """Whether it is quarantined, and not all of its neighbours were kept."""
        value = self._values.get(topic_key(workspace, f"{key}."))
        return value is not None and not IDENTITY_LINK.decode(value).complete

    def refused(self, workspace: str) -> list[IdentityLink]:
        """Evidence that joined nobody, and identifiers that are quarantined; newest first."""
        start = topic_key(workspace, "")
        values = [self._values.get(name) for name in list(self._refused) if name.startswith(start)]
        found = [IDENTITY_LINK.decode(value) for value in values if value is not None]
        return sorted(found, key=lambda one: (one.version, one.a, one.b), reverse=True)


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
