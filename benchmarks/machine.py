"""Where and of what was this measured? Without it a figure says nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
# What measurements keep is no change of what they measure.
_CHANGED: Final = ("diff", "HEAD", "--", ".", ":!docs")
_DOCUMENT: Final = {"traits": [{"name": f"trait-{n}", "value": n / 7} for n in range(40)]}
_LAPS, _ROUNDS = 9, 200


def facts() -> dict[str, str | int | float]:
    """
    Commit, machine, command line and date.

    `load_1m` tells whether the machine was quiet, `alone_us` and `together_us` how fast it was at
    that moment (see `pace_us`): shared machines are faster on one day than on another.
    """
    alone, together = pace_us(1), pace_us(_cpus())
    return {
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git(*_CHANGED) else ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "cpus": _cpus(),
        "model": _field("/proc/cpuinfo", "model name"),
        "memory_mb": int(_field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "alone_us": alone,
        "together_us": together,
    }


def pace_us(processes: int) -> float:
    """
    CPU µs that this interpreter takes for one JSON document of 2 kB there and back.

    Args:
        processes: so many do it at once; cores that are two halves of one are slower together.
    """
    with multiprocessing.Pool(processes) as pool:
        laps = pool.map(_laps_us, [_LAPS] * processes, chunksize=1)
    return round(statistics.median(chain.from_iterable(laps)), 1)


def _laps_us(number: int) -> list[float]:
    laps = []
    for _ in range(number):
        began = time.process_time()
        for _ in range(_ROUNDS):
            json.loads(json.dumps(_DOCUMENT))
        laps.append((time.process_time() - began) / _ROUNDS * 1e6)
    return laps


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _field(file: str, name: str) -> str:
    lines = Path(file).read_text().splitlines()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(found, "unknown")
