"""How many lines of Python has each room?"""

from __future__ import annotations

from benchmarks.machine import ROOT
from benchmarks.measurement import Measurement
from benchmarks.report import Row, Section

ROOMS = (
    *("schemas", "runtime", "connectors", "processors", "sinks", "sdk", "serving", "ops"),
    *("tests", "benchmarks"),
)


def count_lines() -> Section:
    """Of each room; docstrings count."""
    rows = [_row(room) for room in ROOMS]
    total = {name: sum(int(row[name]) for row in rows) for name in ("modules", "lines")}
    return Section(
        "Lines of code by room",
        "Python lines that are neither blank nor a comment alone; docstrings count.",
        [*rows, {"room": "all", **total}],
    )


def _row(room: str) -> Row:
    files = list((ROOT / room).rglob("*.py"))
    lines = (line.strip() for file in files for line in file.read_text().splitlines())
    return {
        "room": room,
        "modules": len(files),
        "lines": sum(1 for line in lines if line and not line.startswith("#")),
    }


MEASUREMENT = Measurement("loc", lambda _: [count_lines()])
