"""What is known on disk about a running stack: who holds the home, and how its processes do."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

State = Literal["waiting", "starting", "ready", "restarting", "stopping", "stopped", "failed"]


@dataclass(frozen=True)
class ProcessState:
    """One process as its supervisor sees it; `started_at` in seconds since 1970."""

    name: str
    state: State
    pid: int | None = None
    port: int | None = None
    restarts: int = 0
    started_at: float | None = None
    ready: str = ""
    log: str = ""


@dataclass(frozen=True)
class Run:
    """A supervisor and its processes; `birth` tells its pid from a later process with the same."""

    pid: int
    birth: str
    started_at: float
    processes: tuple[ProcessState, ...]


def this_run(processes: tuple[ProcessState, ...], *, started_at: float) -> Run:
    """The run of the calling process."""
    return Run(os.getpid(), birth_of(os.getpid()), started_at, processes)


def birth_of(pid: int) -> str:
    """When the process started, in the kernel's own ticks; empty if it is gone or not on Linux."""
    try:
        # The name in the second field may hold anything; the fields after it are numbers.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def write_run(home: Path, run: Run) -> None:
    """Replace `run/supervisor.json`; a reader sees the old or the new one."""
    path = home / "run" / "supervisor.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(run), indent=1))
    fresh.replace(path)


def read_run(home: Path) -> Run | None:
    """The last run of this home, over or not; None if there was none."""
    try:
        found = json.loads((home / "run" / "supervisor.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return Run(
        found["pid"],
        found["birth"],
        found["started_at"],
        tuple(ProcessState(**process) for process in found["processes"]),
    )


def take_home(home: Path) -> IO[str] | None:
    """
    The lock of this home, held while the file (or a forked child's copy of it) is open.

    None: a supervisor has it. A lock needs no cleaning up: the kernel drops it with its holder.
    """
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def home_taken(home: Path) -> bool:
    """Whether a supervisor has this home."""
    lock = take_home(home)
    if lock is None:
        return True
    lock.close()
    return False


def quiet_stdio(log: Path) -> None:
    """Turn standard input away and standard output and error to a file, as a daemon's are."""
    log.parent.mkdir(parents=True, exist_ok=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
