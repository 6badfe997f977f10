"""What people changed, of all workspaces, in memory: by id, by whom a split names, and rules."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from customeros.processors.identity.public import RULES, SPLIT
from customeros.schemas.codec import IDENTITY_CHANGE
from customeros.schemas.identity import IdentityChange
from customeros.schemas.topics import topic_key
from customeros.sdk.lookup import values_of


class Changes(MutableMapping[bytes, bytes]):
    """
    Values of `identity.changes` by key, as a `LiveCopy` stores them, with an index.

    Written by one thread and read by others: an index entry is replaced, never changed.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._splits: dict[bytes, tuple[IdentityChange, ...]] = {}
        self._rules: dict[str, tuple[IdentityChange, ...]] = {}

    def __getitem__(self, name: bytes) -> bytes:
        return self._values[name]

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name in self._values:
            self._forget(name)
        self._values[name] = value
        said = IDENTITY_CHANGE.decode(value)
        if said.kind == RULES:
            others = (*self._rules.get(said.workspace, ()), said)
            self._rules[said.workspace] = tuple(sorted(others, key=_version, reverse=True))
        if _holds(said):
            for key in _named(said):
                self._splits[key] = (*self._splits.get(key, ()), said)

    def __delitem__(self, name: bytes) -> None:
        self._forget(name)
        del self._values[name]

    def __iter__(self) -> Iterator[bytes]:
        return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def of(self, workspace: str, change_id: str) -> IdentityChange | None:
        """The change of this id."""
        value = self._values.get(topic_key(workspace, change_id))
        return None if value is None else IDENTITY_CHANGE.decode(value)

    def splits(self, workspace: str, key: str) -> tuple[IdentityChange, ...]:
        """Those in force that name the identifier *key*."""
        return self._splits.get(topic_key(workspace, key), ())

    def rules(self, workspace: str) -> tuple[IdentityChange, ...]:
        """Those that were adopted; the first of them are in force."""
        return self._rules.get(workspace, ())

    def newest_first(self, workspace: str) -> list[IdentityChange]:
        """Every split and join of the workspace."""
        made = map(IDENTITY_CHANGE.decode, values_of(self, workspace))
        found = [one for one in made if one.kind != RULES]
        return sorted(found, key=lambda one: (one.version, one.change_id), reverse=True)

    def _forget(self, name: bytes) -> None:
        said = IDENTITY_CHANGE.decode(self._values[name])
        if said.kind == RULES:
            left = tuple(x for x in self._rules[said.workspace] if x.version != said.version)
            self._rules[said.workspace] = left
        for key in _named(said) if _holds(said) else ():
            left = tuple(one for one in self._splits[key] if one.change_id != said.change_id)
            if left:
                self._splits[key] = left
            else:
                del self._splits[key]


def _version(said: IdentityChange) -> int:
    return said.version


def _holds(said: IdentityChange) -> bool:
    return said.on and said.kind == SPLIT


def _named(said: IdentityChange) -> list[bytes]:
    return [topic_key(said.workspace, key) for key in (*said.left, *said.right)]
