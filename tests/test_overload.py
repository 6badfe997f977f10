"""What the overload benchmark counts: a loss and a repetition show, a refusal that arrived too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `python -m benchmarks`, which runs in the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


def test_every_promise_that_was_not_kept_is_counted() -> None:
    from benchmarks.offering import NO_ANSWER, NO_CONNECTION, Outcome
    from benchmarks.overload import Verdict, verdict

    statuses = (200, 200, 200, 429, 503, NO_ANSWER, NO_CONNECTION)
    outcomes = [Outcome(status, at=0.0, seconds=0.1) for status in statuses]

    kept = verdict(outcomes, {0: (100, 100), 1: (100, 100), 2: (100, 100)})
    broken = verdict(outcomes, {0: (100, 100), 1: (102, 97), 4: (30, 30), 5: (100, 100)})

    assert kept == Verdict(accepted=300, lost=0, twice=0, unasked=0)
    assert broken == Verdict(accepted=300, lost=103, twice=5, unasked=130)


def test_no_two_batches_share_an_event() -> None:
    """However often the traffic made beforehand is sent: each time by other people."""
    from benchmarks.offering import BATCH, Bodies

    bodies = Bodies(1)
    calls = [json.loads(bodies[number])["batch"] for number in (0, 1, 299, 300, 601)]

    ids = [call["messageId"] for batch in calls for call in batch]
    assert len(set(ids)) == len(ids) == 5 * BATCH
    numbers = [[int(n) for n in re.findall(r"\d+", call["messageId"])] for (call, *_) in calls]
    assert [cycle * 300 + number // BATCH for cycle, number in numbers] == [0, 1, 299, 300, 601]
    users = [{call["userId"] for call in batch if "userId" in call} for batch in calls[1:4:2]]
    assert users[0].isdisjoint(users[1])
