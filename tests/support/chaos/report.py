"""What came of many runs: one JSON, and the table of it for people."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from support.chaos.plan import Kind
from support.chaos.run import Result

LOST: Final = "lost"
DOUBLED: Final = "doubled"
_BEGIN: Final = "<!-- last run -->"
_END: Final = "<!-- /last run -->"


class Outcome(msgspec.Struct, frozen=True):
    """
    One run.

    Args:
        faults: kind, the fault in words, and s from its beginning until all was well again.
        wrong: kind, how many and where.
        ended: processes by name that ended by themselves beside the faults.
        failed: why it could not be judged; empty: it was.
    """

    seed: int
    events: int = 0
    watched: int = 0
    seconds: float = 0.0
    faults: Sequence[tuple[str, str, float]] = ()
    wrong: Sequence[tuple[str, int, str]] = ()
    ended: dict[str, int] = {}
    failed: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return not self.wrong and not self.failed


def outcome_of(result: Result) -> Outcome:
    """What is kept of a run."""
    return Outcome(
        result.plan.seed,
        result.events,
        result.watched,
        round(result.seconds, 1),
        [
            (r.fault.kind.value, str(r.fault).strip(), round(r.seconds, 1))
            for r in result.recoveries
        ],
        [(wrong.kind, wrong.number, wrong.text) for wrong in result.wrong],
        dict(sorted(result.ended.items())),
    )


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Two tables: what was found, and how long after a fault of each kind all was well again."""
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    by_kind = {
        kind: [seconds for name, _, seconds in faults if name == kind] for kind in map(str, Kind)
    }
    ended: Counter[str] = Counter()
    for outcome in outcomes:
        ended.update(outcome.ended)
    beside = ", ".join(f"{name} {number}" for name, number in sorted(ended.items()))
    rows = [
        ("runs (seeds)", f"{len(outcomes):,}"),
        ("faults", f"{len(faults):,}"),
        ("accepted events", f"{sum(o.events for o in outcomes):,}"),
        ("lost", f"{_wrong(outcomes, LOST):,}"),
        ("counted twice", f"{_wrong(outcomes, DOUBLED):,}"),
        ("versions that went back", f"{_wrong(outcomes, 'went back'):,}"),
        ("of versions seen", f"{sum(o.watched for o in outcomes):,}"),
        ("anything else that differs", f"{_wrong(outcomes, 'differs'):,}"),
        ("runs that could not be judged", f"{sum(bool(o.failed) for o in outcomes):,}"),
        (
            "processes that ended beside a fault",
            f"{ended.total():,}" + (f" ({beside})" * bool(beside)),
        ),
    ]
    return "\n".join(
        [
            "| | |",
            "|---|---:|",
            *(f"| {name} | {figure} |" for name, figure in rows),
            "",
            "| fault | times | well again after, median | worst |",
            "|---|---:|---:|---:|",
            *(_row(kind, seconds) for kind, seconds in by_kind.items()),
            _row("all", [seconds for _, _, seconds in faults]),
            "",
        ]
    )


def placed(document: str, table: str) -> str:
    """*document* with *table* between its marks, in place of what was there."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{table}\n{_END}{after}"


def _row(kind: str, seconds: Sequence[float]) -> str:
    if not seconds:
        return f"| {kind} | 0 | | |"
    return (
        f"| {kind} | {len(seconds):,} | {statistics.median(seconds):.1f} s | {max(seconds):.1f} s |"
    )


def _wrong(outcomes: Sequence[Outcome], kind: str) -> int:
    return sum(number for o in outcomes for name, number, _ in o.wrong if name == kind)
