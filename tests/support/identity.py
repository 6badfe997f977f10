"""Evidence made small, a graph in dicts, and an offline judge that shares no code with either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from hypothesis import strategies as st

from customeros.processors.identity.fold import digest_of
from customeros.processors.identity.graph import Changes, Rejected, update
from customeros.processors.identity.model import Conflict, Edge, InForce, Node, Pair
from customeros.processors.identity.rules import Rules, text_of
from customeros.schemas.identifier import (
    IdentifierKey,
    IdentifierRules,
    IdentifierType,
    customer_id,
)
from customeros.schemas.identity import (
    Adoption,
    Assignment,
    Cut,
    Endpoint,
    Evidence,
    EvidenceKind,
    Join,
    Link,
    Refusal,
    Sweep,
)

K = TypeVar("K")
V = TypeVar("V")

WORKSPACE = "shop"
TYPES = {"u": "user_id", "e": "email", "a": "anonymous_id", "d": "device_id"}

# By strength under the default rules, a rule that goes so far; nobody knows the first.
RULES = ("hint", "seen_track", "identify", "alias")

# Small limits, so that a few identifiers reach each of them.
SMALL = Rules(
    workspace=WORKSPACE,
    identifiers=IdentifierRules(
        types={
            "user_id": IdentifierType(limit=1, degree=5),
            "email": IdentifierType(limit=2, degree=3),
            "anonymous_id": IdentifierType(degree=3),
            "device_id": IdentifierType(degree=2),
        }
    ),
    members=6,
)


def endpoint(key: str, at: int, event: str = "", *, epoch: int = 0) -> Endpoint:
    """The identifier *key*, whose first letter says its type."""
    return Endpoint(
        key=key, type=TYPES[key[0]], first_seen_at=at, first_event_id=event, epoch=epoch
    )


def link(
    a: str,
    b: str,
    at: int,
    *,
    strength: int = 1,
    event: str | None = None,
    rule: str = "",
    source: str = "web",
    epochs: tuple[int, int] = (0, 0),
    workspace: str = WORKSPACE,
) -> Evidence:
    """An event at *at* that says that *a* and *b* belong together, and knows of no earlier one."""
    event = event or f"ev{at}"
    return Evidence(
        workspace=workspace,
        kind=EvidenceKind.LINK,
        link=Link(
            a=endpoint(a, at, event, epoch=epochs[0]),
            b=endpoint(b, at, event, epoch=epochs[1]),
            occurred_at=at,
            event_id=event,
            source=source,
            rule=rule or RULES[strength],
        ),
    )


def seen(key: str, at: int, *, epoch: int = 0) -> Evidence:
    return Evidence(
        workspace=WORKSPACE,
        kind=EvidenceKind.SEEN,
        seen=endpoint(key, at, f"ev{at}", epoch=epoch),
    )


def erase(key: str, at: int, *, epoch: int = 1) -> Evidence:
    return Evidence(
        workspace=WORKSPACE, kind=EvidenceKind.ERASE, erase=endpoint(key, at, epoch=epoch)
    )


def cut(
    cut_id: str, left: Iterable[str], right: Iterable[str], *, version: int = 1, on: bool = True
) -> Evidence:
    return Evidence(
        workspace=WORKSPACE,
        kind=EvidenceKind.CUT,
        cut=Cut(
            cut_id=cut_id,
            version=version,
            on=on,
            left=tuple(left),
            right=tuple(right),
            by="ada",
            why="not the same person",
        ),
    )


def join(
    a: str,
    b: str,
    at: int,
    *,
    change: str = "",
    version: int = 1,
    on: bool = True,
    epochs: tuple[int, int] = (0, 0),
) -> Evidence:
    """A person says at *at* that *a* and *b* belong together, or takes it back."""
    change = change or f"j-{a}-{b}"
    return Evidence(
        workspace=WORKSPACE,
        kind=EvidenceKind.JOIN,
        join=Join(
            change_id=change,
            version=version,
            on=on,
            a=endpoint(a, at, "\uffff", epoch=epochs[0]),
            b=endpoint(b, at, "\uffff", epoch=epochs[1]),
            by="ada",
            why="one person",
            made_at=at,
        ),
    )


def adopt(rules: Rules, version: int = 2, *, text: str | None = None) -> Evidence:
    """Ada makes *rules* those of the workspace."""
    return Evidence(
        workspace=rules.workspace,
        kind=EvidenceKind.RULES,
        rules=Adoption(
            version=version,
            text=text_of(rules) if text is None else text,
            by="ada",
            why="better",
            made_at=5,
        ),
    )


keys = st.sampled_from(["u1", "u2", "u3", "e1", "e2", "e3", "a1", "a2", "a3", "a4", "d1", "d2"])
moments = st.integers(0, 9)
pairs = st.lists(keys, min_size=2, max_size=2, unique=True)


@st.composite
def links(draw: st.DrawFn, epochs: bool = False) -> Evidence:
    a, b = draw(pairs)
    raised = draw(st.tuples(st.integers(0, 1), st.integers(0, 1))) if epochs else (0, 0)
    at = draw(moments)
    return link(a, b, at, strength=draw(st.sampled_from([0, 1, 1, 2, 3])), epochs=raised)


@st.composite
def joins(draw: st.DrawFn, epochs: bool = False) -> Evidence:
    a, b = draw(pairs)
    raised = draw(st.tuples(st.integers(0, 1), st.integers(0, 1))) if epochs else (0, 0)
    return join(
        a,
        b,
        draw(moments),
        change=draw(st.sampled_from(["j1", "j2"])),
        version=draw(st.integers(1, 4)),
        on=draw(st.booleans()),
        epochs=raised,
    )


@st.composite
def cuts(draw: st.DrawFn) -> Evidence:
    named = draw(st.lists(keys, min_size=2, max_size=4, unique=True))
    middle = draw(st.integers(1, len(named) - 1))
    return cut(
        draw(st.sampled_from(["c1", "c2"])),
        named[:middle],
        named[middle:],
        version=draw(st.integers(1, 4)),
        on=draw(st.booleans()),
    )


def evidence(*, erasures: bool = True) -> st.SearchStrategy[Evidence]:
    """Anything that the graph can be told, but rules."""
    kinds: list[st.SearchStrategy[Evidence]] = [
        links(epochs=erasures),
        links(),
        links(),
        joins(epochs=erasures),
        st.builds(seen, keys, moments),
        cuts(),
    ]
    if erasures:
        kinds.append(st.builds(erase, keys, moments))
    return st.one_of(kinds)


def offline(told: Sequence[Evidence], rules: Rules = SMALL) -> dict[str, str]:
    """
    The customer of each identifier that was seen, from all evidence at once.

    Sets of sets, no index, nothing kept: slow and hard to get wrong.
    """
    met = [point for one in told for point in _points(one)]
    epoch = epochs(told)
    kind = {p.key: p.type for p in met}
    first = {
        key: min((p.first_seen_at, p.first_event_id) for p in met if (p.key, p.epoch) == (key, now))
        for key, now in epoch.items()
    }
    found = [
        one.link
        for one in told
        if one.link
        and rules.strength_of(one.link.rule, one.link.source)
        and one.link.a.key != one.link.b.key
    ]
    beside: dict[str, set[str]] = {key: set() for key in epoch}
    for said in found:
        for mine, other in ((said.a, said.b), (said.b, said.a)):
            if mine.epoch == epoch[mine.key]:
                beside[mine.key].add(other.key)
    usable = [
        said
        for said in found
        if all(
            point.epoch == epoch[point.key]
            and len(beside[point.key]) <= rules.degree(point.type)
            and point.key not in rules.blocked
            for point in (said.a, said.b)
        )
    ]
    groups = {frozenset([key]) for key in epoch}
    ranked = [
        (
            -rules.strength_of(s.rule, s.source),
            s.occurred_at,
            s.event_id,
            *sorted([s.a.key, s.b.key]),
        )
        for s in usable
    ]
    ranked += [
        (-3, s.made_at, s.change_id, *sorted([s.a.key, s.b.key]))
        for s in _joined(told, epoch)
        if s.on
        and all(
            len(beside[point.key]) <= rules.degree(kind[point.key])
            and point.key not in rules.blocked
            for point in (s.a, s.b)
        )
    ]
    for *_, one_end, other_end in sorted(ranked):
        both = frozenset().union(*(g for g in groups if g & {one_end, other_end}))
        if _allowed(both, kind, _in_force(told), rules):
            groups = {g for g in groups if not g & both} | {both}
    return {
        key: customer_id(rules.workspace, IdentifierKey(anchor), epoch[anchor])
        for group in groups
        for anchor in [min(group, key=lambda k: (*first[k], k))]
        for key in group
    }


def epochs(told: Sequence[Evidence]) -> dict[str, int]:
    """How often each identifier was erased."""
    met = [point for one in told for point in _points(one)]
    return {key: max(p.epoch for p in met if p.key == key) for key in {p.key for p in met}}


def _points(one: Evidence) -> list[Endpoint]:
    pair = one.link or one.join
    told = [one.seen, one.erase, *([pair.a, pair.b] if pair else [])]
    return [point for point in told if point]


def _joined(told: Sequence[Evidence], epoch: Mapping[str, int]) -> Iterable[Join]:
    """What was said last of each pair, as long as neither of the two was erased since."""
    newest: dict[frozenset[str], Join] = {}
    for said in (one.join for one in told if one.join):
        if all(point.epoch == epoch[point.key] for point in (said.a, said.b)):
            pair = frozenset([said.a.key, said.b.key])
            rank = (said.version, said.on, said.change_id, said.made_at)
            known = newest.get(pair)
            if known is None or rank > (known.version, known.on, known.change_id, known.made_at):
                newest[pair] = said
    return newest.values()


def _in_force(told: Sequence[Evidence]) -> list[Cut]:
    newest: dict[str, Cut] = {}
    for said in (one.cut for one in told if one.cut):
        known = newest.get(said.cut_id)
        if known is None or _order(known) < _order(said):
            newest[said.cut_id] = said
    return [said for said in newest.values() if said.on]


def _order(said: Cut) -> tuple[int, bool, tuple[str, ...], tuple[str, ...]]:
    return said.version, said.on, said.left, said.right


def _allowed(
    group: frozenset[str], kind: dict[str, str], in_force: list[Cut], rules: Rules
) -> bool:
    for name in {kind[key] for key in group}:
        limit = rules.limit(name)
        if limit is not None and sum(kind[key] == name for key in group) > limit:
            return False
    return len(group) <= rules.members and not any(
        group.intersection(said.left) and group.intersection(said.right) for said in in_force
    )


class Graph:
    """A workspace's graph in dicts; `tell` takes batches and keeps what was said."""

    def __init__(self, rules: Rules = SMALL) -> None:
        self.rules = rules
        self.now = 1_000
        self.stored: dict[str, Node] = {}
        self.pairs: dict[Pair, Edge] = {}
        self.conflicts: dict[Pair, Conflict] = {}
        self.said: list[Assignment] = []
        self.refusals: Counter[Refusal] = Counter()
        self.rejected: list[Rejected] = []
        self.sweep: Sweep | None = None
        self.versions: dict[int, str] = {}
        self._in_force: InForce | None = None
        self._cuts: dict[str, Cut] = {}
        self._clock = 0

    def tell(self, *batches: Sequence[Evidence] | Evidence) -> Graph:
        for batch in batches:
            self._take([batch] if isinstance(batch, Evidence) else batch)
            while self.sweep is not None:
                self.step()
        return self

    def step(self, *told: Evidence) -> Graph:
        """Take *told* alone, or the next piece of a sweep alone."""
        self._take(list(told) or self.continued())
        return self

    def continued(self) -> list[Evidence]:
        """What the graph has told itself, if that is not taken yet."""
        if self.sweep is None:
            return []
        return [Evidence(workspace=WORKSPACE, kind=EvidenceKind.SWEEP, sweep=self.sweep)]

    def in_force(self) -> InForce | None:
        return self._in_force

    def adopted(self, version: int) -> str | None:
        return self.versions.get(version)

    @property
    def customers(self) -> dict[str, str]:
        """The customer of each identifier that was seen."""
        return {key: node.customer for key, node in self.stored.items() if node.type}

    @property
    def assigned(self) -> dict[str, str]:
        """The same as someone knows who only read what was said."""
        own = {
            key: customer_id(self.rules.workspace, IdentifierKey(key), node.epoch)
            for key, node in self.stored.items()
            if node.type
        }
        return own | {said.key: said.customer_id for said in self.said if said.type}

    def together(self, *keys: str) -> bool:
        return len({self.customers[key] for key in keys}) == 1

    def nodes(self, keys: Iterable[str]) -> dict[str, Node]:
        return {key: self.stored[key] for key in keys if key in self.stored}

    def edges(self, pairs: Iterable[Pair]) -> dict[Pair, Edge]:
        return {pair: self.pairs[pair] for pair in pairs if pair in self.pairs}

    def cuts(self, ids: Iterable[str]) -> dict[str, Cut]:
        return {cut: self._cuts[cut] for cut in ids if cut in self._cuts}

    def keys(self, beyond: str, limit: int) -> list[str]:
        return sorted(key for key in self.stored if key > beyond)[:limit]

    def clock(self) -> int:
        return self._clock

    @property
    def _sweeping(self) -> bool:
        return self._in_force is not None and self._in_force.sweep is not None

    def _take(self, told: Sequence[Evidence]) -> None:
        self.now += 1
        self._keep(update(self, told, self.rules, self.now))

    def _keep(self, changes: Changes) -> None:
        self.stored.update(changes.nodes)
        self._cuts.update(changes.cuts)
        _replace(self.pairs, changes.edges)
        _replace(self.conflicts, changes.conflicts)
        self._clock = changes.clock or self._clock
        if changes.rules is not None:
            self._in_force, self.rules = changes.rules, changes.rules.rules
        self.versions |= {said.version: digest_of(said) for said in changes.adopted}
        self.sweep = changes.sweep or (self.sweep if self._sweeping else None)
        self.said += changes.assignments
        self.refusals.update(changes.refusals)
        self.rejected += changes.rejected


def _replace(stored: dict[K, V], changes: Mapping[K, V | None]) -> None:
    for key, value in changes.items():
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = value
