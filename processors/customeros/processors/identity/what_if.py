"""What other rules would make of stored evidence: who would join, who would split, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from customeros.processors.identity.connected import Evidence, Group, View, groups
from customeros.processors.identity.model import Edge, Refused
from customeros.processors.identity.narrowing import Consents, Narrowed, narrowings
from customeros.processors.identity.resolve import ANY_TYPE, resolve
from customeros.processors.identity.rules import Rules
from customeros.schemas.identity import IdentityLink, Refusal

T = TypeVar("T")


class Reason(NamedTuple):
    """
    Why evidence would join two, or would no more.

    Args:
        stood: what stands in its way by the rules that refuse it.
        detail: the type or the cut, as in a refusal.
        now, then: the strength, the limit or the degree that matters, by either rules; where they
            are equal, it is because of whom its ends are together with. None: no limit.
    """

    link: IdentityLink
    stood: Refusal
    detail: str
    now: int | None
    then: int | None


class Join(NamedTuple):
    """
    Identifiers of several customers would be one.

    Args:
        customers: sorted; `parts`: those of them of which only a part would be in it.
    """

    customers: tuple[str, ...]
    parts: frozenset[str]
    identifiers: tuple[str, ...]
    reasons: tuple[Reason, ...]


class Split(NamedTuple):
    """One customer's identifiers would be several's: `parts`, the largest first."""

    customer: str
    parts: tuple[tuple[str, ...], ...]
    reasons: tuple[Reason, ...]


class WhatIf(NamedTuple):
    """
    Args:
        identifiers: that evidence names.
        behind: those whose customer is not what the rules in force say of the evidence: stages
            are behind, or evidence came in meanwhile.
        joined: customers that would be in a join.
        quarantined, released, blocked: identifiers that would come into or out of it.
        unjudged: identifiers that stay quarantined under a higher degree, since not all of
            their evidence was kept.
        narrowed: grants by purpose that would not count any more.
    """

    identifiers: int
    behind: int
    joins: int
    joined: int
    splits: int
    quarantined: int
    released: int
    blocked: int
    unjudged: int
    narrowed: Mapping[str, int]
    first_joins: Sequence[Join]
    first_splits: Sequence[Split]
    first_narrowed: Sequence[Narrowed]


def compare(
    evidence: Evidence, now: Rules, then: Rules, *, consents: Consents, first: int
) -> WhatIf:
    """
    What *then* would change where *now* holds; the same answer in whatever order evidence comes.

    Args:
        consents: of a customer, by purpose.
        first: of each kind so many are told, those of the largest effect, then by id.
    """
    joins = _Largest[Join](first, lambda one: (-len(one.identifiers), one.customers))
    splits = _Largest[Split](first, lambda one: (-sum(map(len, one.parts)), one.customer))
    narrowed = _Largest[Narrowed](first, lambda one: (one.customer, one.purpose))
    counted: Counter[str] = Counter()
    purposes: Counter[str] = Counter()
    for group in groups(evidence, now, then):
        counted.update(_marks(evidence, group, now, then))
        if len(group.now.nodes) < 2:
            continue
        case = _Case(evidence, group, now, then)
        counted["behind"] += case.behind()
        for join in case.joins():
            joins.add(join)
            counted["joined"] += len(join.customers)
            for one in narrowings(join.customers, consents, certain=not join.parts):
                narrowed.add(one)
                purposes[one.purpose] += 1
        for split in case.splits():
            splits.add(split)
    return WhatIf(
        identifiers=counted["identifiers"],
        behind=counted["behind"],
        joins=joins.count,
        joined=counted["joined"],
        splits=splits.count,
        quarantined=counted["quarantined"],
        released=counted["released"],
        blocked=counted["blocked"],
        unjudged=counted["unjudged"],
        narrowed=dict(sorted(purposes.items())),
        first_joins=joins.first(),
        first_splits=splits.first(),
        first_narrowed=narrowed.first(),
    )


def _marks(evidence: Evidence, group: Group, now: Rules, then: Rules) -> Iterator[str]:
    """What is counted of each identifier by itself."""
    for key, node in group.now.nodes.items():
        yield "identifiers"
        other = group.then.nodes[key]
        if other.quarantined and not node.quarantined:
            yield "quarantined"
        if node.quarantined and not other.quarantined:
            yield "released"
        if key in then.blocked and key not in now.blocked:
            yield "blocked"
        higher = other.quarantined and then.degree(node.type) > now.degree(node.type)
        if higher and evidence.overflown(key):
            yield "unjudged"


class _Side:
    """
    A group by one set of rules.

    Args:
        home: whom an identifier is together with: equal names, one customer.
        refused: by pair, what stood in the way of evidence.
    """

    def __init__(self, view: View, group: Group, rules: Rules) -> None:
        found = resolve(view.nodes, view.edges.values(), group.cuts, rules)
        self.view = view
        self.rules = rules
        self.home: Mapping[str, str] = found.assignments
        self.refused = {one.edge.pair: one for one in found.refused}

    @cached_property
    def holding(self) -> Mapping[str, Sequence[Edge]]:
        """By home, the evidence that holds it together: best first."""
        found: defaultdict[str, list[Edge]] = defaultdict(list)
        for edge in sorted(self.view.edges.values(), key=lambda edge: edge.rank):
            home = self.home.get(edge.a)
            if home == self.home.get(edge.b) and home and edge.pair not in self.refused:
                found[home].append(edge)
        return found

    def measure(self, refused: Refused) -> int | None:
        """The strength, limit or degree by these rules that decides about *refused*."""
        match refused.reason:
            case Refusal.WEAK:
                return self.view.edges[refused.edge.pair].strength
            case Refusal.QUARANTINED:
                return self.rules.degree(refused.detail)
            case Refusal.LIMIT if refused.detail == ANY_TYPE:
                return self.rules.members
            case Refusal.LIMIT:
                return self.rules.limit(refused.detail)
            case _:
                return None

    def told(self, refused: Refused) -> Refused:
        """*refused*, with the type of the end that is alone where that is the reason."""
        nodes, blocked = self.view.nodes, self.rules.blocked
        ends = {
            Refusal.QUARANTINED: [k for k in refused.edge.pair if nodes[k].quarantined],
            Refusal.BLOCKED: [k for k in refused.edge.pair if k in blocked],
        }.get(refused.reason)
        return refused if ends is None else refused._replace(detail=nodes[ends[0]].type)


class _Case:
    """One group by both rules."""

    def __init__(self, evidence: Evidence, group: Group, now: Rules, then: Rules) -> None:
        self._evidence = evidence
        self._links = group.links
        self._now = _Side(group.now, group, now)
        self._then = _Side(group.then, group, then)

    def behind(self) -> int:
        """Identifiers that are not with those with whom the rules in force put them."""
        told = {key: self._evidence.customer(key) for key in self._now.home}
        right = {frozenset(keys) for keys in _together(self._now.home)}
        return sum(len(keys) for keys in _together(told) if frozenset(keys) not in right)

    def joins(self) -> Iterator[Join]:
        before = self._now.home
        sizes = Counter(before.values())
        for keys in _together(self._then.home):
            came = Counter(before[key] for key in keys)
            if len(came) > 1:
                torn = [key for key in keys if came[before[key]] < sizes[before[key]]]
                yield Join(
                    tuple(sorted(self._customers(keys))),
                    frozenset(self._customers(torn)),
                    tuple(sorted(keys)),
                    tuple(self._reasons(keys, self._then, self._now)),
                )

    def splits(self) -> Iterator[Split]:
        after = self._then.home
        for keys in _together(self._now.home):
            parts = _together({key: after[key] for key in keys})
            if len(parts) > 1:
                yield Split(
                    min(self._customers(keys)),
                    tuple(sorted((tuple(sorted(p)) for p in parts), key=lambda p: (-len(p), p))),
                    tuple(self._reasons(keys, self._now, self._then)),
                )

    def _customers(self, keys: Iterable[str]) -> set[str]:
        return {self._evidence.customer(key) for key in keys}

    def _reasons(self, members: Sequence[str], one: _Side, other: _Side) -> Iterator[Reason]:
        """The evidence that holds *members* together by *one*, as far as *other* refuses it."""
        whose = {key: other.home[key] for key in members}
        for edge in one.holding[one.home[members[0]]]:
            left, right = (whose[key] for key in edge.pair)
            if left != right:
                whose = {key: left if name == right else name for key, name in whose.items()}
                refused = other.told(other.refused[edge.pair])
                yield Reason(
                    self._links[edge.pair],
                    refused.reason,
                    refused.detail,
                    self._now.measure(refused),
                    self._then.measure(refused),
                )


def _together(home: Mapping[str, str]) -> list[list[str]]:
    """The identifiers that have one home, home by home."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key, name in home.items():
        found[name].append(key)
    return list(found.values())


class _Largest(Generic[T]):
    """How many there were, and the first few of them by a rank."""

    def __init__(self, many: int, rank: Callable[[T], Any]) -> None:
        self.count = 0
        self._many = many
        self._rank = rank
        self._kept: list[T] = []

    def add(self, one: T) -> None:
        self.count += 1
        self._kept.append(one)
        if len(self._kept) > 2 * self._many + 100:
            self._kept = self.first()

    def first(self) -> list[T]:
        return sorted(self._kept, key=self._rank)[: self._many]
