"""A function that remembers says what it would say otherwise, and remembers so much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from customeros.schemas.remembered import Remembered


@given(asked=st.lists(st.integers(0, 12)), most=st.integers(2, 10))
def test_what_is_remembered_is_what_the_function_says(asked: list[int], most: int) -> None:
    squares: Remembered[int, int] = Remembered(lambda n: n * n, most=most)

    assert [squares[n] for n in asked] == [n * n for n in asked]
    assert len(squares) <= most // 2


def test_what_is_asked_for_again_and_again_is_found_out_once() -> None:
    found_out: list[int] = []

    def found(n: int) -> int:
        found_out.append(n)
        return n

    same = Remembered(found, most=8)
    for n in range(100):
        assert (same[-1], same[n]) == (-1, n)

    assert found_out.count(-1) == 1
