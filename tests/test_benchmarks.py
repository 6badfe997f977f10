"""The benchmarks run, print their tables and leave nothing behind; no figure is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[1]
STREAM = 20_000


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `python -m benchmarks`, which runs in the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_the_benchmarks_measure_every_stage_and_leave_nothing_behind(tmp_path: Path) -> None:
    """On a tiny size, where the figures mean nothing."""
    ours = ("--only", "ours", "--only", "faust")
    measured = run_benchmarks(tmp_path, "all", "--events", "500", "--seconds", "1", *ours)

    titles = [section["title"] for section in measured["sections"]]
    assert titles == ["Stages", "End to end", "Engine", "Latency", "Lines of code by room"]
    stages, whole, engine, latency, _ = (s["rows"] for s in measured["sections"])
    assert [row["what"] for row in stages if "events" in row] == [
        "collector: single calls",
        "collector: batches of 100",
        "resolve: events",
        "graph",
        "resolve: assignments",
        "state",
        "sink",
    ]
    assert all(row["events/s"] > 0 for row in (*stages, *engine) if "events" in row)
    assert [row["result"] for row in engine] == ["right"] * 2
    assert whole[0]["CPU µs/event"] > 0
    assert [row["events"] for row in latency] == [100, 100, 100]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_value_that_many_share_keeps_records_small_and_ordinary_events_quiet() -> None:
    from benchmarks.supernode import measure_supernode

    *rows, largest = measure_supernode(sharing=500).rows

    assert [row["evidence"] for row in rows] == [0, 500, 500, 0, 0]
    assert 0 < int(largest["bytes"]) < 256_000


def test_an_organisation_of_many_keeps_records_small() -> None:
    from benchmarks.organisation import measure_organisation

    *rows, largest = measure_organisation(members=50).rows

    assert [row["what"] for row in rows][-1] == "one that names an organisation of 50"
    assert 0 < int(largest["bytes"]) < 256_000


def test_what_was_measured_says_where_and_of_what(tmp_path: Path) -> None:
    measured = run_benchmarks(tmp_path, "loc")

    assert set(measured["measured"]) >= {"commit", "cpus", "model", "memory_mb", "command", "date"}
    (rooms,) = measured["sections"]
    assert next(row for row in rooms["rows"] if row["room"] == "schemas")["lines"] > 500


def test_the_traffic_is_the_same_for_every_run() -> None:
    assert some_traffic(500) == some_traffic(500)


def test_the_traffic_is_as_promised() -> None:
    """About 600 B a call, five families, 10 % new identifiers, 2 % merges, and heavy users."""
    calls = some_traffic(STREAM)

    size = sum(len(msgspec.json.encode(call)) for call in calls) / STREAM
    assert 550 < size < 700
    kinds = {call.get("event", call["type"]) for call in calls}
    assert kinds >= {"page", "identify", "Order Completed", "Message Received", "Product Shared"}
    said = [identifiers_of(call) for call in calls]
    assert 0.08 < len({name for names in said for name in names}) / STREAM < 0.12
    log_ins = [call for call in calls if "email" in call.get("traits", {})]
    first = len({call["userId"] for call in log_ins})
    assert 0.015 < (len(log_ins) - first) / STREAM < 0.025
    by_user: dict[str, int] = {}
    for call in calls:
        if "userId" in call:
            by_user[call["userId"]] = by_user.get(call["userId"], 0) + 1
    assert max(by_user.values()) > 10 * sum(by_user.values()) / len(by_user)


def test_medians_are_taken_figure_by_figure() -> None:
    from benchmarks.report import Section, median_of

    runs = [Section("t", "n.", [{"what": "a", "events": e, "s": s}]) for e, s in RUNS]

    assert median_of(runs) == Section(
        "t", "n. Median of 3 runs.", [{"what": "a", "events": 20, "s": 2.0}]
    )


def test_the_pace_is_taken_between_the_first_and_the_last_record() -> None:
    """Waiting before and after costs nothing in it."""
    from benchmarks.progress import Look, pace_of
    from benchmarks.usage import Usage

    looks = [
        Look(at, records, {"worker": Usage(cpu, 1)})
        for at, records, cpu in (
            (0.0, 0, 5.0),
            (9.0, 200, 6.0),
            (10.0, 600, 6.5),
            (11.0, 1_000, 7.0),
            (20.0, 1_000, 7.1),
        )
    ]

    (row,) = pace_of(looks).rows("work", 500)

    assert row["seconds"] == pytest.approx(2.0 / 0.8)
    assert row["events/s"] == pytest.approx(200)
    assert row["CPU µs/event"] == pytest.approx(1.0 / 400 * 1e6)


def test_warming_up_is_left_out_of_the_pace() -> None:
    from benchmarks.progress import Look, pace_of
    from benchmarks.usage import Usage

    moments = ((0.0, 0), (10.0, 900), (11.0, 1_100), (12.0, 2_000))
    looks = [Look(at, records, {"worker": Usage(at, 1)}) for at, records in moments]

    pace = pace_of(looks, warm=1_000)

    assert (pace.first.records, pace.last.records) == (1_100, 2_000)


def test_what_an_engine_said_is_judged_by_what_was_sent() -> None:
    """Every event once in the last sums of its key, and once in the outputs."""
    from benchmarks.engine.job import Sums, right_sums
    from benchmarks.engine.verdict import judged

    right = right_sums(1_000)
    key, sums = next(iter(right.items()))
    fewer = {**right, key: Sums(sums.number - 1, sums.total)}
    more = {**right, key: Sums(sums.number + 2, sums.total)}
    other = {**right, key: Sums(sums.number, sums.total + 1)}

    assert judged(right, 1_000, right, each=True) == "right"
    assert judged(right, 400, right, each=False) == "right"
    assert judged(fewer, 999, right, each=True) == "1 not counted, 1 outputs missing"
    assert judged(more, 1_002, right, each=True) == "2 counted twice, 2 outputs too many"
    assert judged(other, 1_000, right, each=True) == "1 sums wrong"


def test_an_engine_that_is_not_installed_says_how_to_bring_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.engine import engines

    monkeypatch.setattr(engines, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    reasons = {}
    for engine in engines.ENGINES:
        try:
            engine.command(tmp_path)
        except engines.NotHere as reason:
            reasons[engine.name] = str(reason)

    assert set(reasons) == {"streams-eos", "streams", "bytewax", "quix-eos", "quix"}
    assert "make .venv-quix/installed" in reasons["quix"]
    assert "JDK" in reasons["streams"]


RUNS = ((10, 1.0), (30, 5.0), (20, 2.0))


def some_traffic(count: int) -> list[dict[str, Any]]:
    from benchmarks.traffic import traffic

    return list(islice(traffic(7), count))


def identifiers_of(call: dict[str, Any]) -> list[str]:
    found = (call.get("userId"), call.get("anonymousId"), call.get("traits", {}).get("email"))
    return [name for name in found if name]


def run_benchmarks(folder: Path, *arguments: str) -> dict[str, Any]:
    """What the command wrote, with a folder for its temporary files."""
    temporary = folder / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--json", str(folder / "measured.json")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "measured.json").read_text())
    assert all(f"### {section['title']}" in done.stdout for section in found["sections"])
    return found
