"""
What identity promises holds for every generated history; `support.promises` tells how.

The suite tries the same histories each time. `pytest --seed random tests/processors/identity`
tries others and says their seed; a line in `seeds.txt` keeps it. `pytest --mutation NAME` plants
one of the mistakes that are caught here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.mutations import MUTATIONS, Mutation
from support.promises import PROMISES, Promise, keep

_KEPT_HISTORIES = 50
_MUTATED_HISTORIES = 300


def kept_seeds() -> list[tuple[str, int]]:
    """Names of promises, each with a seed that once broke it."""
    lines = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    kept = [line.split(maxsplit=1) for line in lines if not line.startswith("#")]
    return [(name, int(seed)) for seed, name in kept]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_a_promise_is_kept(
    promise: Promise, history_seed: int, count_histories: Callable[[int], None]
) -> None:
    count_histories(keep(promise, seeded=history_seed, histories=promise.histories))


@pytest.mark.parametrize(("name", "seed"), kept_seeds())
def test_what_broke_a_promise_once_does_not_break_it_again(
    name: str, seed: int, count_histories: Callable[[int], None]
) -> None:
    (promise,) = (promise for promise in PROMISES if promise.name == name)

    count_histories(keep(promise, seeded=seed, histories=_KEPT_HISTORIES))


def test_at_least_two_thousand_histories_are_tried_and_each_point_is_promised() -> None:
    """The points of the specification that a history can show."""
    assert sum(promise.histories for promise in PROMISES) >= 2_000
    assert {promise.point for promise in PROMISES} == set(range(1, 8))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_planted_mistake_is_caught(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.plant(monkeypatch)

    with pytest.raises(AssertionError):
        keep(mutation.promise, seeded=1, histories=_MUTATED_HISTORIES, shrink=False)
