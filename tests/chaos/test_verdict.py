"""What a run is judged by tells each thing that can go wrong, and nothing where nothing did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from support.chaos.oracle import Expected, Sums
from support.chaos.verdict import Found, Step, judge

EVENTS = frozenset({"m1", "m2", "m3"})
ADA, BOB = Sums(2, 1, 1995, 0), Sums(1, 0, 0, 0)
EXPECTED = Expected(
    EVENTS,
    {"c1": ADA, "c2": BOB},
    {"user_id:ada": "c1", "user_id:bob": "c2"},
    {"acme": 2},
    "a digest",
    {"poison-1": (1, 2), "poison-2": (0, 1)},
)
POISON = frozenset({"shop/poison-0"})
# The last was answered with nothing; what was refused is told of like what was taken.
ACCEPTED = frozenset({"m1", "m2", "poison-1"})


def found(**otherwise: object) -> Found:
    """Everything as it must be, but for *otherwise*."""
    made = Found(
        written=Counter({"m1": 2, "m2": 1, "m3": 1}),
        resolved=Counter(EVENTS),
        in_clickhouse=Counter(EVENTS),
        customers={"the topic": EXPECTED.customers, "ClickHouse": EXPECTED.customers},
        identifiers={"the topic": EXPECTED.identifiers},
        accounts={"the topic": EXPECTED.accounts},
        digest="a digest",
        letters={"the topic": Counter({"poison-1": 2})},
        workers_letters={"the topic": Counter(POISON)},
        steps_back=[],
    )
    return made._replace(**otherwise)  # type: ignore[arg-type]


def kinds(seen: Found) -> list[str]:
    return [wrong.kind for wrong in judge(EXPECTED, seen, accepted=ACCEPTED, poison=POISON)]


def test_nothing_is_wrong_where_everything_is_there_once() -> None:
    """Twice on the collector's own topic is a request sent again; it counts once behind it."""
    assert kinds(found()) == []


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        (lambda: found(written=Counter({"m2": 1, "m3": 1})), "lost"),
        (lambda: found(resolved=Counter({"m1", "m2"})), "lost"),
        (lambda: found(resolved=Counter({"m1": 2, "m2": 1, "m3": 1})), "doubled"),
        (lambda: found(resolved=Counter({*EVENTS, "m4"})), "differs"),
        (lambda: found(in_clickhouse=Counter({"m1", "m3"})), "lost"),
        (lambda: found(in_clickhouse=Counter({"m1": 1, "m2": 1, "m3": 3})), "doubled"),
        (lambda: found(customers={"ClickHouse": {"c1": ADA}}), "lost"),
        (lambda: found(customers={"ClickHouse": {**EXPECTED.customers, "c3": BOB}}), "differs"),
        (
            lambda: found(customers={"the API": {"c1": ADA._replace(placed=1996), "c2": BOB}}),
            "differs",
        ),
        (
            lambda: found(identifiers={"a": {**EXPECTED.identifiers, "user_id:bob": "c1"}}),
            "differs",
        ),
        (lambda: found(accounts={"ClickHouse": {"acme": 1}}), "differs"),
        (lambda: found(digest="another"), "differs"),
        (lambda: found(letters={"the topic": Counter()}), "lost"),
        (lambda: found(letters={"the topic": Counter({"poison-1": 3})}), "doubled"),
        (lambda: found(letters={"the topic": Counter({"poison-1", "m1"})}), "differs"),
        (lambda: found(workers_letters={"the topic": Counter()}), "lost"),
        (lambda: found(workers_letters={"the topic": Counter({"shop/poison-0": 2})}), "doubled"),
        (lambda: found(steps_back=[Step("api", "customer c1", 7, 6)]), "went back"),
    ],
)
def test_one_planted_mistake_is_told_and_nothing_else(
    planted: Callable[[], Found], kind: str
) -> None:
    assert kinds(planted()) == [kind]
