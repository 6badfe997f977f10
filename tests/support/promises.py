"""
What identity promises, each as a check of one generated history; the specification's points 1 to 7.

Tests keep them (`tests/processors/identity/test_promises.py`), planted mistakes break them
(`support.mutations`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from operator import add
from typing import Final, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from customeros.processors.identity.rules import Rules, rules_from
from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import (
    Cut,
    Endpoint,
    Evidence,
    EvidenceKind,
    Join,
    Strength,
)
from customeros.schemas.topics import (
    ASSIGNMENTS,
    CHANGES,
    CONTRIBUTIONS,
    EVIDENCE,
    LINKS,
    RESOLVED,
    SIGHTINGS,
    changelog,
)
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from support.histories import NOON, WORKSPACE, an_event, events_of, key_of
from support.identity import adopt
from support.offline import Offline
from support.whole_pipeline import (
    AFTERWARDS,
    RULES,
    STAGES,
    a_pipeline,
    check,
    check_all_along,
    fingerprint,
    happen,
    live,
    newest,
    resolved,
    states,
)

WORLD: Final = [
    Identifier(kind, value)
    for kind, values in {
        "user_id": ("ada", "eve", "bob"),
        "email": ("a@x.example", "b@x.example", "c@x.example"),
        "anonymous_id": ("1", "2", "3"),
        "device_id": ("tv", "phone"),
    }.items()
    for value in values
]
_RECORD_BYTES: Final = 256_000


class History(NamedTuple):
    """
    What happens, and how.

    Args:
        events: in no order, each once; their ids tell them apart.
        told: joins and cuts by hand, some taken back, and rules that are adopted.
        order: seeds every choice that the way leaves open.
        crashes: the share of steps at which a process dies or falls asleep.
    """

    events: Sequence[Event]
    told: Sequence[Evidence]
    order: int
    partitions: int
    crashes: float

    @property
    def rules(self) -> Rules:
        """Those in force in the end."""
        adopted = [one.rules for one in self.told if one.rules]
        if not adopted:
            return RULES
        newest = max(adopted, key=lambda adoption: adoption.version)
        return rules_from(newest.text, WORKSPACE)

    @property
    def said(self) -> list[Event | Evidence]:
        return [*self.events, *self.told]


class Promise(NamedTuple):
    """
    One sentence that is true of every history.

    Args:
        point: of the specification's list of properties.
        histories: tried in each run of the suite.
    """

    name: str
    point: int
    histories: int
    check: Callable[[History], None]
    drawn: st.SearchStrategy[History]


def keep(promise: Promise, *, seeded: int, histories: int, shrink: bool = True) -> int:
    """
    Try so many histories; how many it were, as few may be all that there are.

    Args:
        seeded: gives the same histories each time.
        shrink: look for the smallest history that breaks it before telling.
    """
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    tried = 0

    @seed(seeded)
    @settings(
        max_examples=histories,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(promise.drawn)
    def holds(history: History) -> None:
        nonlocal tried
        tried += 1
        promise.check(history)

    holds()
    return tried


def by_priority(identifiers: Sequence[Identifier]) -> list[Identifier]:
    """As the collector sorts an event's identifiers."""
    types = RULES.identifiers
    return sorted(identifiers, key=lambda i: (types.type_of(i.type).priority, key_of(i)))


def a_join(
    one: Identifier, other: Identifier, *, change: str = "j1", version: int = 1, on: bool = True
) -> Evidence:
    """A person says that two identifiers are one customer's, or takes it back."""
    a, b = (
        Endpoint(key=key_of(i), type=i.type, first_seen_at=2**62, first_event_id="\uffff")
        for i in (one, other)
    )
    join = Join(change_id=change, version=version, on=on, a=a, b=b, by="ada", why="x", made_at=1)
    return Evidence(workspace=WORKSPACE, kind=EvidenceKind.JOIN, join=join)


def a_split(
    named: Sequence[Identifier],
    middle: int,
    *,
    change: str = "c1",
    version: int = 1,
    on: bool = True,
) -> Evidence:
    """A person says that the identifiers up to *middle* and those after it are different people."""
    keys = [key_of(one) for one in named]
    cut = Cut(
        cut_id=change,
        version=version,
        on=on,
        left=tuple(keys[:middle]),
        right=tuple(keys[middle:]),
        by="ada",
        why="two people",
    )
    return Evidence(workspace=WORKSPACE, kind=EvidenceKind.CUT, cut=cut)


def an_erasure(identifier: Identifier) -> Evidence:
    """Everything known of the identifier so far is to be forgotten."""
    point = Endpoint(
        key=key_of(identifier),
        type=identifier.type,
        first_seen_at=AFTERWARDS,
        first_event_id="asked",
        epoch=1,
    )
    return Evidence(workspace=WORKSPACE, kind=EvidenceKind.ERASE, erase=point)


def _other_rules(emails: int | None, browsers: int | None, pages: Strength, crm: Strength) -> Rules:
    """Other limits and strengths; how many neighbours are too many stays the same."""
    types = dict(RULES.identifiers.types)
    for name, limit in (("email", emails), ("anonymous_id", browsers)):
        types[name] = msgspec.structs.replace(types[name], limit=limit)
    return msgspec.structs.replace(
        RULES,
        identifiers=msgspec.structs.replace(RULES.identifiers, types=types),
        strengths={**RULES.strengths, "seen_page": pages},
        sources={"crm": {"seen_track": crm}},
    )


_named = st.lists(st.sampled_from(WORLD), min_size=1, max_size=4, unique=True).map(by_priority)
_versions = st.integers(1, 3)
_joins = st.builds(
    lambda pair, change, version, on: a_join(*pair, change=change, version=version, on=on),
    st.lists(st.sampled_from(WORLD), min_size=2, max_size=2, unique=True),
    st.sampled_from(("j1", "j2")),
    _versions,
    st.booleans(),
)
_cuts = st.builds(
    lambda named, middle, change, version, on: a_split(
        named, middle, change=change, version=version, on=on
    ),
    st.lists(st.sampled_from(WORLD), min_size=3, max_size=4, unique=True),
    st.integers(1, 2),
    st.sampled_from(("c1", "c2")),
    _versions,
    st.booleans(),
)

_nothing = st.builds(list[Evidence])
_limits = st.sampled_from((1, 2, None))
_strengths = st.sampled_from(list(Strength))
_adoptions = st.lists(
    st.builds(_other_rules, _limits, _limits, _strengths, _strengths), max_size=2
).map(lambda found: [adopt(rules, at) for at, rules in enumerate(found, 2)])


def _numbered(events: list[Event]) -> list[Event]:
    return [msgspec.structs.replace(e, event_id=f"e{at:02}") for at, e in enumerate(events)]


def histories(
    *, told: int = 3, crashes: Sequence[float] = (0.0, 0.05)
) -> st.SearchStrategy[History]:
    """Histories of a small world, in which persons say at most *told* things."""
    return st.builds(
        History,
        st.lists(events_of(_named), min_size=1, max_size=14).map(_numbered),
        st.builds(add, st.lists(_joins | _cuts, max_size=told), _adoptions if told else _nothing),
        st.integers(0, 2**32),
        st.sampled_from((1, 4, 16)),
        st.sampled_from(crashes),
    ).map(as_the_api_lets)


def as_the_api_lets(history: History) -> History:
    """Of identifiers that no event names nobody says anything; of the others it says since when."""
    first: dict[str, tuple[int, str]] = {}
    for event in history.events:
        for key in event.identifier_keys:
            seen = (event.occurred_at, event.event_id)
            first[key] = min(seen, first.get(key, seen))
    told = [_since(one, first) for one in history.told if _keys(one) <= first.keys()]
    return history._replace(told=told)


def _keys(told: Evidence) -> set[str]:
    if told.join:
        return {told.join.a.key, told.join.b.key}
    return {*told.cut.left, *told.cut.right} if told.cut else set()


def _since(told: Evidence, first: Mapping[str, tuple[int, str]]) -> Evidence:
    if told.join is None:
        return told
    a, b = (
        msgspec.structs.replace(
            end, first_seen_at=first[end.key][0], first_event_id=first[end.key][1]
        )
        for end in (told.join.a, told.join.b)
    )
    return msgspec.structs.replace(told, join=msgspec.structs.replace(told.join, a=a, b=b))


def _offline_answer(history: History) -> None:
    order = random.Random(history.order)
    pipeline = a_pipeline(history.partitions)

    live(pipeline, history.said, order, crashes=history.crashes)

    check(pipeline, Offline(history.events, history.rules, history.told))
    assert resolved(pipeline) == len(history.events)


def _replayed(history: History) -> None:
    order = random.Random(history.order)
    pipeline = a_pipeline(history.partitions)
    live(pipeline, history.said, order)
    topics = (CUSTOMER_STATE_TOPIC, ASSIGNMENTS, RESOLVED, LINKS, CHANGES)
    before = [pipeline.records(topic) for topic in topics]

    happen(pipeline, order.sample(history.said, len(history.said)))
    pipeline.run(order)
    for stage in STAGES:
        for worker in pipeline.workers(stage):
            worker.rewind()
    pipeline.run(order)

    assert [pipeline.records(topic) for topic in topics] == before


def _all_along(history: History) -> None:
    order = random.Random(history.order)
    pipeline = a_pipeline(history.partitions)

    live(pipeline, history.said, order, crashes=history.crashes)

    check_all_along(pipeline)


def _split(history: History) -> None:
    order = random.Random(history.order)
    named = order.sample(WORLD, order.randint(2, 5))
    middle = order.randint(1, len(named) - 1)
    never, merged = a_pipeline(history.partitions), a_pipeline(history.partitions)
    live(never, [*history.said, a_split(named, middle, change="mine")], order)
    live(merged, history.said, order)
    before = fingerprint(merged), states(merged)

    happen(merged, [a_split(named, middle, change="mine")])
    merged.run(order, crashes=history.crashes)
    split = fingerprint(merged), states(merged)
    happen(merged, [a_split(named, middle, change="mine", version=2, on=False)])
    merged.run(order, crashes=history.crashes)

    assert split == (fingerprint(never), states(never))
    assert (fingerprint(merged), states(merged)) == before


def _joined(history: History) -> None:
    order = random.Random(history.order)
    pair = order.sample(WORLD, 2)
    middle = order.randint(0, len(history.said))
    never, joined = a_pipeline(history.partitions), a_pipeline(history.partitions)
    live(never, history.said, order)

    live(joined, [*history.said[:middle], a_join(*pair, change="mine")], order)
    live(joined, history.said[middle:], order, crashes=history.crashes)
    happen(joined, [a_join(*pair, change="mine", version=9, on=False)])
    joined.run(order, crashes=history.crashes)

    others = {frozenset((t.join.a.key, t.join.b.key)) for t in history.told if t.join}
    if frozenset(map(key_of, pair)) not in others:
        assert (fingerprint(joined), states(joined)) == (fingerprint(never), states(never))


def _erased(history: History) -> None:
    order = random.Random(history.order)
    pipeline = a_pipeline(history.partitions)
    gone = order.sample(WORLD, order.randint(1, 4))
    erasures = [an_erasure(identifier) for identifier in gone]
    live(pipeline, history.events, order)

    live(pipeline, erasures, order, crashes=history.crashes)
    left = fingerprint(pipeline), states(pipeline)
    check(pipeline, Offline(history.events, RULES, erasures))
    live(pipeline, history.events, order, crashes=history.crashes)
    assert (fingerprint(pipeline), states(pipeline)) == left
    # Old events that nobody has heard of count for whoever else they name.
    unheard = [msgspec.structs.replace(e, event_id=f"late {e.event_id}") for e in history.events]
    live(pipeline, unheard, order, crashes=history.crashes)
    found = newest(pipeline).values()
    assert not {key_of(g) for g in gone} & {i.key for state in found for i in state.identifiers}

    before = set(states(pipeline))
    happen(pipeline, [an_event("new", gone[:1], occurred_at=pipeline.now + 1_000)])
    pipeline.run(order)
    (new,) = set(states(pipeline)) - before
    assert newest(pipeline)[new].metrics.events == 1


def _supernode(history: History) -> None:
    """An anonymous id of its own beside the same mail address, each time; then what all said."""
    order = random.Random(history.order)
    pipeline = a_pipeline(history.partitions)
    hub = Identifier("email", "info@x.example")
    live(pipeline, history.events, order)
    kinds = ("track", "identify", "page")
    for number in range(30):
        alone = Identifier("anonymous_id", f"visitor {number}")
        event = an_event(
            f"s{number}", [hub, alone], occurred_at=NOON + number, kind=order.choice(kinds)
        )
        topics = (EVIDENCE, SIGHTINGS, ASSIGNMENTS, LINKS, CHANGES)
        before = sum(len(pipeline.records(topic)) for topic in topics)
        happen(pipeline, [event])
        pipeline.run(order)
        after = sum(len(pipeline.records(topic)) for topic in topics)
        assert number < 10 or after - before <= 2
    every = (
        *topics,
        CONTRIBUTIONS,
        RESOLVED,
        CUSTOMER_STATE_TOPIC,
        *(changelog(stage) for stage in STAGES),
    )
    records = [record for topic in every for record in pipeline.records(topic)]
    assert max(len(record.value or b"") for record in records) < _RECORD_BYTES
    # Whoever else was there is as if the value had never been shared.
    never = a_pipeline(history.partitions)
    live(never, history.events, order)
    others = set(states(never).items()) - set(states(pipeline).items())
    assert not others


def _crashed(history: History) -> None:
    order = random.Random(history.order)
    smooth, crashed = a_pipeline(1), a_pipeline(history.partitions)

    live(smooth, history.said, order)
    live(crashed, history.said, order, crashes=history.crashes)

    assert (fingerprint(crashed), states(crashed)) == (fingerprint(smooth), states(smooth))
    assert resolved(crashed) == len(history.events)
    check_all_along(crashed)


ARRIVAL: Final = Promise(
    "any way of arrival gives the offline answer", 1, 600, _offline_answer, histories()
)
REPLAY: Final = Promise(
    "to replay everything changes nothing and raises no version", 2, 200, _replayed, histories()
)
ALL_ALONG: Final = Promise(
    "no output ever shows two user ids in one customer", 3, 300, _all_along, histories(told=6)
)
SPLIT: Final = Promise(
    "merged and split is never merged, and undone is merged", 4, 200, _split, histories()
)
JOIN: Final = Promise("a join that is undone leaves no trace", 4, 200, _joined, histories())
ERASURE: Final = Promise("of what is erased nothing comes back", 5, 200, _erased, histories(told=0))
SUPERNODE: Final = Promise(
    "a value that everybody shares costs two messages and joins nobody",
    6,
    50,
    _supernode,
    histories(told=0, crashes=(0.0,)),
)
CRASH: Final = Promise(
    "a crash at any point leaves what no crash would have",
    7,
    300,
    _crashed,
    histories(crashes=(0.1, 0.3)),
)
PROMISES: Final = (ARRIVAL, REPLAY, ALL_ALONG, SPLIT, JOIN, ERASURE, SUPERNODE, CRASH)
