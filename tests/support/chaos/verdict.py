"""Is everything there once, and did no version go back? Decided from what was read alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from support.chaos.oracle import Expected, Sums

_EXAMPLES: Final = 3


class Step(NamedTuple):
    """A version that a consumer saw after a newer one, or again."""

    consumer: str
    name: str
    before: int
    after: int


class Found(NamedTuple):
    """
    What the stores hold at rest; see `Expected`.

    Args:
        written: ids of the events' own topics, as often as they are there; duplicates may be.
        resolved: ids in `events.resolved`; in_clickhouse: in the view `events`.
        customers: sums by customer id, by the store that says so; identifiers, accounts: likewise.
        letters: message ids in dead letters, by store.
        workers_letters: by key of a record that the stages refuse, how often it is there.
        steps_back: of versions.
    """

    written: Counter[str]
    resolved: Counter[str]
    in_clickhouse: Counter[str]
    customers: Mapping[str, Mapping[str, Sums]]
    identifiers: Mapping[str, Mapping[str, str]]
    accounts: Mapping[str, Mapping[str, int]]
    digest: str
    letters: Mapping[str, Counter[str]]
    workers_letters: Mapping[str, Counter[str]]
    steps_back: Sequence[Step]


class Wrong(NamedTuple):
    """
    Something that must not be.

    Args:
        kind: `lost`, `doubled`, `differs` or `went back`.
        number: how many.
        text: where, with some examples.
    """

    kind: str
    number: int
    text: str


def judge(
    expected: Expected, found: Found, *, accepted: frozenset[str], poison: frozenset[str]
) -> list[Wrong]:
    """
    All that is wrong; empty: nothing is.

    Args:
        accepted: message ids that clients were told of, refused calls among them.
        poison: keys of the records that the stages must refuse, each written once.
    """
    events = accepted - expected.letters.keys()
    return [
        *_told("lost", "events on their own topics", events - found.written.keys()),
        *_once("events.resolved", expected.events, found.resolved),
        *_once("the view events", expected.events, found.in_clickhouse),
        *_same("customers", expected.customers, found.customers),
        *_same("identifiers", expected.identifiers, found.identifiers),
        *_same("accounts", expected.accounts, found.accounts),
        *([Wrong("differs", 1, "the digest")] if expected.digest != found.digest else []),
        *_letters(expected, found),
        *(
            wrong
            for store, letters in found.workers_letters.items()
            for wrong in _once(f"workers' dead letters in {store}", poison, letters)
        ),
        *_told("went back", "versions", [str(tuple(step)) for step in found.steps_back]),
    ]


def _once(where: str, wanted: frozenset[str], found: Counter[str]) -> Iterator[Wrong]:
    yield from _told("lost", where, wanted - found.keys())
    yield from _told("doubled", where, [name for name, times in found.items() if times > 1])
    yield from _told("differs", f"{where}: nobody sent it", found.keys() - wanted)


def _same(
    what: str, wanted: Mapping[str, Any], stores: Mapping[str, Mapping[str, Any]]
) -> Iterator[Wrong]:
    for store, found in stores.items():
        where = f"{what} in {store}"
        yield from _told("lost", where, wanted.keys() - found.keys())
        yield from _told("differs", f"{where}: unknown", found.keys() - wanted.keys())
        both = wanted.keys() & found.keys()
        yield from _told(
            "differs",
            where,
            [f"{k}: {found[k]}, not {wanted[k]}" for k in both if found[k] != wanted[k]],
        )


def _letters(expected: Expected, found: Found) -> Iterator[Wrong]:
    for store, letters in found.letters.items():
        where = f"the collector's dead letters in {store}"
        bounds = expected.letters
        yield from _told("lost", where, [i for i, (low, _) in bounds.items() if letters[i] < low])
        yield from _told(
            "doubled", where, [i for i, (_, high) in bounds.items() if letters[i] > high]
        )
        yield from _told("differs", f"{where}: nobody sent it", letters.keys() - bounds.keys())


def _told(kind: str, where: str, names: Any) -> list[Wrong]:
    found = sorted(names)
    if not found:
        return []
    some = ", ".join(found[:_EXAMPLES]) + (" …" if len(found) > _EXAMPLES else "")
    return [Wrong(kind, len(found), f"{where}: {some}")]
