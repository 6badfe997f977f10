"""A set of names, of which only the number is asked."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.processors.profile.uniques import EXACT, count, noted, union

# Few names, so that the sets overlap; enough of them to leave exactness behind.
NAMES = st.sets(st.integers(0, 200).map(str), max_size=120)


def a_set(names: set[str]) -> bytes:
    return noted(b"", names)


@given(st.lists(NAMES, max_size=4), st.randoms(use_true_random=False))
def test_a_set_is_the_same_bytes_whatever_came_first(parts: list[set[str]], random: object) -> None:
    """Noted at once, one by one in any order, or as a union of parts in any grouping."""
    everything: set[str] = set().union(*parts)
    one_by_one = b""
    names = sorted(everything)
    random.shuffle(names)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for name in names:
        one_by_one = noted(one_by_one, [name])
    sets = [a_set(part) for part in parts]

    assert one_by_one == a_set(everything)
    assert union(sets) == union(reversed(sets)) == a_set(everything)
    assert union([union(sets[:2]), union(sets[2:])]) == a_set(everything)
    assert union([*sets, *sets]) == a_set(everything)


@given(st.lists(st.binary(min_size=1024, max_size=1024), min_size=1, max_size=12))
def test_of_large_sets_the_greatest_of_each_register_stays(noise: list[bytes]) -> None:
    """Registers are of 0 to 55."""
    sets = [bytes(byte % 56 for byte in each) for each in noise]

    assert union(sets) == bytes(map(max, bytes(1024), *sets))


@given(st.sets(st.text(), max_size=EXACT))
def test_up_to_64_are_counted_exactly(names: set[str]) -> None:
    """Whatever their names are."""
    assert count(a_set(names)) == len(names)


@given(NAMES, st.text())
def test_one_more_never_counts_less(names: set[str], name: str) -> None:
    """Also where exactness ends."""
    assert count(noted(a_set(names), [name])) >= count(a_set(names))


@pytest.mark.parametrize("number", [65, 100, 1_000, 3_000, 20_000])
def test_beyond_that_the_estimate_is_as_good_as_documented(number: int) -> None:
    """Of forty sets: none is off by more than four standard errors, all together by half a one."""
    errors = [
        count(noted(b"", (f"{trial}:{n}" for n in range(number)))) / number - 1
        for trial in range(40 if number <= 3_000 else 8)
    ]

    assert max(map(abs, errors)) < 4 * 0.033
    assert abs(statistics.fmean(errors)) < 0.033
    assert statistics.pstdev(errors) < 0.045


def test_a_set_never_takes_more_than_1_kb() -> None:
    """Of a million pages."""
    known = noted(b"", (str(n) for n in range(100_000)))

    assert len(known) == 1024
    assert len(a_set({str(n) for n in range(EXACT)})) == 512
    assert noted(known, ["1"]) == known


def test_hashes_are_those_of_every_release() -> None:
    """Sets are kept for years: another hash would count everything twice."""
    assert a_set({"book"}).hex() == "5b3c753c4e537ca1"
    assert count(noted(b"", map(str, range(1000)))) == 989
