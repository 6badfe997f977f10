"""The benchmarks run, print their tables and leave nothing behind; no figure is judged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
STREAM = 20_000


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `python -m benchmarks`, which runs in the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_the_benchmarks_measure_every_stage_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a tiny size, where the figures mean nothing."""
    from benchmarks import latency, stages, whole
    from benchmarks.engine import measure as engine
    from benchmarks.kept import Kept, pictures
    from benchmarks.measurement import Run
    from benchmarks.rig import running_servers

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measurements = [each.MEASUREMENT for each in (stages, whole, engine, latency)]
    with running_servers() as servers:
        measured = {
            each.name: each.measure(
                Run(1, each.quick._replace(only=("ours", "faust")), lambda: servers)
            )
            for each in measurements
        }

    assert list(tmp_path.iterdir()) == []
    rows = {name: sections[0].rows for name, sections in measured.items()}
    assert [row["what"] for row in rows["stages"]] == [
        "collector: single calls",
        "collector: batches of 100",
        "resolve: events",
        "graph",
        "resolve: assignments",
        "state",
        "sink",
        "all but single calls",
    ]
    assert [row["result"] for row in rows["engine"]] == ["right"] * 2
    assert float(rows["whole"][0]["CPU µs/event"]) > 0
    assert len(rows["latency"]) == 12
    assert all(float(row["p99 ms"]) > 0 for row in rows["latency"])
    kept = {name: Kept({}, sections) for name, sections in measured.items()}
    assert set(pictures(kept, measurements)) == {
        f"{plot.name}.svg" for each in measurements for plot in each.plots
    }


def test_a_process_that_has_ended_uses_nothing_and_is_told() -> None:
    """Also one that nobody has waited for, whose figures would stand still."""
    from benchmarks.usage import peak_rss_bytes, usage

    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        for asked in (usage, peak_rss_bytes):
            with pytest.raises(ProcessLookupError):
                asked(child.pid)


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


def test_the_documentation_says_what_was_kept() -> None:
    """Else: `python -m benchmarks report`."""
    from benchmarks.catalogue import MEASUREMENTS
    from benchmarks.kept import DOCUMENT, FOLDER, document, pictures, read_kept

    kept = read_kept(FOLDER, MEASUREMENTS)

    assert document(DOCUMENT.read_text(), kept, MEASUREMENTS) == DOCUMENT.read_text()
    made = pictures(kept, MEASUREMENTS)
    assert made == {file.name: file.read_text() for file in FOLDER.glob("*.svg")}
    assert {file.stem for file in FOLDER.glob("*.json")} == set(kept)
    for measured in kept.values():
        assert not re.search(r"/(tmp|work|home|root)\b", str(measured.measured["command"]))


def test_every_measurement_has_its_place_in_the_documentation() -> None:
    from benchmarks.catalogue import MEASUREMENTS
    from benchmarks.kept import DOCUMENT

    names = re.findall(r"^<!-- measured: (.+) -->$", DOCUMENT.read_text(), re.MULTILINE)

    assert len(set(names)) == len(names)
    assert {measurement.name for measurement in MEASUREMENTS} <= set(names)


def test_a_document_changes_only_where_something_was_measured() -> None:
    from benchmarks.kept import Kept, document
    from benchmarks.measurement import Measurement
    from benchmarks.report import Row, Section

    end = "<!-- /measured -->\n"
    text = f"a\n\n<!-- measured: one -->\n{end}\n<!-- measured: two -->\n\nold\n\n{end}\nb\n"
    machine: Row = {"cpus": 2, "model": "m", "memory_mb": 2048, "python": "3.11.2", "load_1m": 0.5}
    facts: Row = {"command": "c", "commit": "1", "date": "2026", **machine}
    kept = Kept(facts, [Section("T", "n.", [{"w": "a"}])])
    measurements = [Measurement(name, lambda _: ()) for name in ("one", "two")]

    paced = Kept({**kept.measured, "alone_us": 80.0, "together_us": 120}, kept.sections)
    assert "load before 0.5, JSON of 2 kB there and back in 80 µs alone and 120 µs on all" in (
        document(text, {"one": paced}, measurements)
    )

    made = document(text, {"one": kept}, measurements)

    table = "### T\n\nn.\n\n| w |\n| --- |\n| a |"
    origin = "`c`, commit 1, 2026, 2 cores of m, 2 GB, Python 3.11.2, load before 0.5"
    assert made == text.replace("one -->\n", f"one -->\n\n{table}\n\n{origin}\n\n")
    assert document(made, {"one": kept}, measurements) == made
    with pytest.raises(KeyError, match="three"):
        document(text, {"three": kept}, measurements)


def test_a_plot_shows_the_rows_that_have_its_numbers() -> None:
    from benchmarks.plots import Kind, Plot, series_of, svg
    from benchmarks.report import Row

    rows: list[Row] = [
        {"n": 1, "of": "a", "µs": 2.0},
        {"n": 10, "of": "b", "µs": 3},
        {"n": 5, "note": "none"},
    ]
    for kind in Kind:
        by = Plot("p", "T", "Which?", kind, "n", ("µs",), "µs per event", by="of", aim=1.0)
        assert series_of(by, rows) == {"a": {1: 2.0}, "b": {10: 3}}
        assert svg(by, rows) == svg(by, rows)
        assert "Which?" in svg(by, rows)
    assert series_of(by._replace(kind=Kind.LINES), [{"n": "exponent", "of": "a", "µs": 1.0}]) == {}
    with pytest.raises(ValueError, match="nothing to draw"):
        svg(by, rows[2:])


def test_what_was_measured_says_where_and_of_what(tmp_path: Path) -> None:
    kept = run_benchmarks(tmp_path, "loc", "organisation")

    (rooms,) = kept["loc"].sections
    assert next(row for row in rooms.rows if row["room"] == "schemas")["lines"] > 500
    measured = kept["organisation"].measured
    assert set(measured) >= {"commit", "cpus", "model", "memory_mb", "load_1m", "command", "date"}
    assert float(measured["alone_us"]) > 0
    assert float(measured["together_us"]) > 0
    assert "benchmarks organisation --quick" in measured["command"]
    assert (tmp_path / "kept" / "organisation.svg").read_text().startswith("<?xml")


def test_a_process_that_ended_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    from benchmarks.rig import Running, check_alive

    from customeros.runtime.stack.processes import Spec

    log = tmp_path / "broken.log"
    log.write_text("the disk is full\n")
    with (
        subprocess.Popen(["sh", "-c", "exit 7"]) as ended,
        subprocess.Popen(["sleep", "60"]) as lives,
    ):
        ended.wait()
        alive = Running(Spec("well", ("sleep",)), lives.pid, lives, log)
        check_alive([alive])
        gone = alive._replace(spec=Spec("broken", ("sh",)), child=ended)
        with pytest.raises(ChildProcessError, match=r"broken ended \(7\): the disk is full"):
            check_alive([alive, gone])
        lives.kill()


def test_the_traffic_is_the_same_for_every_run() -> None:
    assert some_traffic(500) == some_traffic(500)


def test_the_traffic_is_as_promised() -> None:
    """About 600 B a call, five families, 10 % new identifiers, 2 % merges, and heavy users."""
    from benchmarks.traffic import mix_of

    calls = some_traffic(STREAM)

    mix = mix_of(calls)
    assert 550 < mix["bytes"] < 700
    assert 8 < mix["new identifiers %"] < 12
    assert 1.5 < mix["merges %"] < 2.5
    kinds = {call.get("event", call["type"]) for call in calls}
    assert kinds >= {"page", "identify", "Order Completed", "Message Received", "Product Shared"}
    by_user = Counter(call["userId"] for call in calls if "userId" in call)
    assert max(by_user.values()) > 10 * by_user.total() / len(by_user)


def test_medians_are_taken_figure_by_figure() -> None:
    from benchmarks.report import Section, median_of

    runs = [[Section("t", "n.", [{"what": "a", "events": e, "s": s}])] for e, s in RUNS]

    assert median_of(runs) == [
        Section("t", "n. Median of 3 runs.", [{"what": "a", "events": 20, "s": 2.0}])
    ]


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

    row = pace_of(looks).row("work", 500)

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

    on_jvm, apart = {"streams-eos", "streams", "flink", "flink-1s"}, {"bytewax", "quix-eos", "quix"}
    assert set(reasons) == on_jvm | apart
    assert "make .venv-quix/installed" in reasons["quix"]
    assert "JDK" in reasons["streams"]


RUNS = ((10, 1.0), (30, 5.0), (20, 2.0))


def some_traffic(count: int) -> list[dict[str, Any]]:
    from benchmarks.traffic import traffic

    return list(islice(traffic(7), count))


def run_benchmarks(folder: Path, *names: str) -> dict[str, Any]:
    """What the command kept, by measurement; of tiny sizes."""
    from benchmarks.catalogue import MEASUREMENTS
    from benchmarks.kept import read_kept

    options = ("--quick", "--keep", "--folder", str(folder / "kept"))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *names, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = read_kept(folder / "kept", MEASUREMENTS)
    for kept in found.values():
        assert all(f"### {section.title}" in done.stdout for section in kept.sections)
    return found
