"""`make chaos SEEDS=1-100 JOBS=2`: runs side by side, their report, and the logs of what failed."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from customeros.runtime.stack.processes import tethered
from support.chaos.plan import plan_of
from support.chaos.report import Outcome, markdown, outcome_of, placed
from support.chaos.run import clear, run_plan

_POLL_SECONDS: Final = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every run is as it must be."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seeds", default="1-10", help="such as `7`, `1-100` or `3,9,20-25`")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side; each takes 1.5 GB")
    parser.add_argument("--folder", type=Path, default=Path(".customeros-chaos"))
    parser.add_argument("--keep", type=Path, help="put the table into this document")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    seeds = list(_seeds(asked.seeds))
    if asked.one:
        return _run(seeds[0], asked.folder)
    outcomes = _run_all(seeds, asked.jobs, asked.folder)
    (asked.folder / "report.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(outcomes), indent=1) + b"\n"
    )
    table = markdown(outcomes)
    if asked.keep:
        asked.keep.write_text(placed(asked.keep.read_text(), table))
    print(table)
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _seeds(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _run_all(seeds: Sequence[int], jobs: int, folder: Path) -> list[Outcome]:
    waiting, running = list(seeds), dict[int, subprocess.Popen[bytes]]()
    outcomes: list[Outcome] = []
    folder.mkdir(parents=True, exist_ok=True)
    while waiting or running:
        while waiting and len(running) < jobs:
            seed = waiting.pop(0)
            running[seed] = _start(seed, folder)
        for seed in [seed for seed, child in running.items() if child.poll() is not None]:
            del running[seed]
            outcome = _read(seed, folder)
            outcomes.append(outcome)
            _tell(outcome, folder)
        time.sleep(_POLL_SECONDS)
    return sorted(outcomes, key=lambda outcome: outcome.seed)


def _start(seed: int, folder: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "support.chaos", "--one", "--seeds", str(seed)]
    file = folder / f"{seed}.json"
    file.unlink(missing_ok=True)
    with (folder / f"{seed}.log").open("wb") as log:
        return subprocess.Popen(
            tethered([*argv, "--folder", str(folder)]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def _read(seed: int, folder: Path) -> Outcome:
    try:
        return msgspec.json.decode((folder / f"{seed}.json").read_bytes(), type=Outcome)
    except FileNotFoundError:
        return Outcome(seed, failed="its process ended")


def _tell(outcome: Outcome, folder: Path) -> None:
    worst = max((seconds for *_, seconds in outcome.faults), default=0.0)
    logs = folder / str(outcome.seed)
    print(
        f"seed {outcome.seed}: {'well' if outcome.good else 'WRONG'},",
        f"{len(outcome.faults)} faults, {outcome.events} events, worst recovery {worst:.1f} s,",
        f"{outcome.seconds:.0f} s",
        *([f"ended beside: {outcome.ended}, logs: {logs}"] if outcome.ended else []),
        flush=True,
    )
    if outcome.good:
        return
    print(f"  again: make chaos SEEDS={outcome.seed}   logs: {logs}")
    for fault in plan_of(outcome.seed).faults:
        print(f"  {fault}")
    for kind, number, text in outcome.wrong:
        print(f"  {kind}: {number} {text}")
    print(f"  {outcome.failed}", flush=True)


def _run(seed: int, folder: Path) -> int:
    # That a broker is away is what a run is about.
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL)
    plan, home = plan_of(seed), folder.absolute() / str(seed)
    clear(home)
    print(f"{'two machines' if plan.two_machines else 'one machine'}, seed {seed}", flush=True)
    try:
        outcome = outcome_of(run_plan(plan, home, say=lambda text: print(text, flush=True)))
    except Exception as error:  # noqa: BLE001 - told of, and the next run is to come
        traceback.print_exc()
        outcome = Outcome(seed, failed=f"{type(error).__name__}: {error}")
    (folder / f"{seed}.json").write_bytes(msgspec.json.encode(outcome))
    if outcome.good and not outcome.ended:
        clear(home)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
