"""How right a set of suggested pairs is: pairwise and B-cubed precision, recall and F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple


class Measure(NamedTuple):
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def groups(size: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of `size` records a number, equal for those joined, also by way of others."""
    parent = list(range(size))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in pairs:
        parent[root(a)] = root(b)
    return [root(one) for one in range(size)]


def pairwise(found: Sequence[Hashable], truth: Sequence[Hashable]) -> Measure:
    """Of all pairs within one found group, and of all within one true group."""
    right = _pairs(zip(found, truth, strict=True))
    return Measure(right / max(_pairs(found), 1), right / max(_pairs(truth), 1))


def b_cubed(found: Sequence[Hashable], truth: Sequence[Hashable]) -> Measure:
    """Means over records: how much of its group is right, how much of its person found (Bagga)."""
    shared = Counter(zip(found, truth, strict=True))
    of_found, of_truth = Counter(found), Counter(truth)
    precise = sum(n * n / of_found[group] for (group, _), n in shared.items())
    complete = sum(n * n / of_truth[person] for (_, person), n in shared.items())
    return Measure(precise / len(truth), complete / len(truth))


def right(pairs: Sequence[tuple[int, int]], truth: Sequence[Hashable]) -> float:
    """The share of pairs that are of one person; 1 where there are none."""
    return sum(truth[a] == truth[b] for a, b in pairs) / len(pairs) if pairs else 1.0


def _pairs(labels: Iterable[Hashable]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(labels).values())
