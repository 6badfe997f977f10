"""One run of the chaos suite, of a plan that has every process killed: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.chaos.plan import SESSION_SECONDS, Fault, Kind, Plan
from support.chaos.run import run_plan

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

PLAN = Plan(
    seed=20261122,
    people=60,
    events_each=10,
    two_machines=True,
    faults=(
        Fault(0.2, Kind.PARTITIONS, "a", "events.behavioral"),
        Fault(0.3, Kind.PARTITIONS, "a", "state-changelog"),
        Fault(0.5, Kind.PAUSE, "b", "state", SESSION_SECONDS + 1),
        Fault(1.0, Kind.KILL, "a", "resolve"),
        Fault(1.5, Kind.KILL, "a", "graph"),
        Fault(2.0, Kind.KILL, "a", "collector"),
        Fault(2.5, Kind.KILL, "b", "sink-clickhouse"),
        Fault(3.0, Kind.KILL, "a", "kafka"),
        Fault(3.5, Kind.LOSE_DISK, "b", "resolve"),
        Fault(4.0, Kind.AWAY, "a", "clickhouse", 3.0),
        Fault(4.5, Kind.FULL, "a", "state", 2.0),
        Fault(5.0, Kind.KILL, "a", "api"),
        Fault(5.5, Kind.PARTITIONS, "a", "profile.contributions"),
        Fault(6.0, Kind.KILL, "a", "state"),
        Fault(8.0, Kind.KILL_ALL, "b"),
        Fault(10.0, Kind.KILL_ALL, "a"),
    ),
)


def test_faults_of_many_kinds_while_events_come_in_lose_and_double_nothing(tmp_path: Path) -> None:
    """Of what clients were told was accepted; `make chaos SEEDS=1-100` draws other plans."""
    result = run_plan(PLAN, tmp_path / "home")

    assert result.wrong == []
    assert len(result.recoveries) == len(PLAN.faults)
    assert result.events >= 400
    assert result.watched > 100
