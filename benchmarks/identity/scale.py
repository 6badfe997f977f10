"""What suggestions cost as customers grow: time, memory, pairs, and who of the twins is found."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter, process_time
from typing import Any, Final

from benchmarks.identity.people import people
from customeros.processors.suggestions.record import record
from customeros.processors.suggestions.suggest import suggest

SIZES: Final = (10_000, 40_000, 160_000, 400_000)
_COLUMNS: Final = (
    ("customers", "{:>10,}"), ("cpu_s", "{:>9.1f}"), ("cpu_us_each", "{:>12.0f}"),
    ("peak_mb", "{:>9.0f}"), ("bytes_each", "{:>11,.0f}"), ("found", "{:>8.3f}"),
    ("shown", "{:>8,}"), ("right", "{:>8.4f}"), ("first", "{:>8,}"), ("first_right", "{:>12.4f}"),
)  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """One line for each size, each in a process of its own, since memory is told at its peak."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(int(arguments[1]))))
        return
    print(" ".join(f"{name:>{len(form.format(0))}}" for name, form in _COLUMNS), flush=True)
    for size in [int(text) for text in arguments] or SIZES:
        command = [sys.executable, "-m", "benchmarks.identity.scale", "--one", str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        line = json.loads(done.stdout)
        print(" ".join(form.format(line[name]) for name, form in _COLUMNS), flush=True)


def measure(count: int) -> dict[str, Any]:
    """
    Of *count* customers: processor time and memory of `suggest` alone, and how right it is.

    `found` is the share of those who are there twice; `right` that of what is shown.
    """
    records, truth = [], {}
    for place, person in enumerate(people(count)):
        key = f"{place:09}"
        records.append(record(key, person.fields))
        truth[key] = person.truth
    before, started, clock = _peak_mb(), process_time(), perf_counter()
    found = suggest(records)
    cpu, seconds, peak = process_time() - started, perf_counter() - clock, _peak_mb()
    right = [truth[one.a] == truth[one.b] for one in found]
    first = [truth[one.a] == truth[one.b] for one in found if one.first]
    twice = count - len(set(truth.values()))
    return {
        "customers": count,
        "cpu_s": cpu,
        "wall_s": seconds,
        "cpu_us_each": cpu / count * 1e6,
        "peak_mb": peak,
        "bytes_each": (peak - before) * 2**20 / count,
        "found": sum(right) / max(twice, 1),
        "shown": len(found),
        "right": sum(right) / max(len(found), 1),
        "first": len(first),
        "first_right": sum(first) / max(len(first), 1),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1:])
