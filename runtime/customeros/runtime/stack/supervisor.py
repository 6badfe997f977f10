"""Bring a stack up, take it down, say how it is; one stack per home, whatever was killed before."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import Settings
from customeros.runtime.stack.board import board
from customeros.runtime.stack.keeping import Keeper
from customeros.runtime.stack.ports import port_taken, taken_port_sentence
from customeros.runtime.stack.processes import Spec, tail, trouble
from customeros.runtime.stack.runfile import (
    ProcessState,
    Run,
    birth_of,
    home_taken,
    quiet_stdio,
    read_run,
    take_home,
    this_run,
    write_run,
)

_POLL_SECONDS = 0.1
# `down` waits for the slowest orderly stop, then ends the supervisor, and with it all the rest.
_DOWN_SECONDS = 60.0


@dataclass(frozen=True)
class ProcessHealth:
    """A process as its supervisor sees it, and why it is not at work now; empty: it is."""

    process: ProcessState
    trouble: str

    @property
    def healthy(self) -> bool:
        """Whether it is at work."""
        return not self.trouble


@dataclass(frozen=True)
class Status:
    """`ready`: a supervisor runs and all its processes answer."""

    running: bool
    pid: int | None
    processes: tuple[ProcessHealth, ...]

    @property
    def ready(self) -> bool:
        """Whether everything answers."""
        return self.running and all(process.healthy for process in self.processes)


def up(
    settings: Settings,
    specs: Sequence[Spec],
    *,
    detach: bool,
    renewed: Callable[[], Sequence[Spec] | None] = lambda: None,
) -> int:
    """
    Keep these processes up until SIGTERM or SIGINT; detached, return once all are ready.

    Args:
        renewed: see `Keeper`.

    Returns:
        0: stopped on request, or (detached) all are ready, or a stack was up already; 1: a process
        could not be started, and what its log says last is on stderr.

    Raises:
        Misconfigured: a port is taken, with who has it and the setting that changes it.
    """
    home = settings.home.absolute()
    lock = take_home(home)
    if lock is None:
        run = read_run(home)
        print(f"Already running in {home}" + (f" (pid {run.pid})." if run else "."))
        return 0
    with lock:
        for spec in specs:
            if spec.port is not None and port_taken(spec.port):
                raise Misconfigured(taken_port_sentence(spec.port, spec.port_setting))
        if detach:
            since = time.time()
            _fork_supervisor(home, specs, renewed, lock)
            lock.close()  # the supervisor's copy holds it now
            return _watch(home, since)
        with board([spec.name for spec in specs]) as show:
            return _supervise(home, specs, renewed, show)


def down(settings: Settings) -> int:
    """Stop what `up` started on this home, in order; 0 when nothing runs any more."""
    home = settings.home.absolute()
    run = read_run(home)
    if run is None or not home_taken(home):
        print(f"Nothing runs in {home}.")
        return 0
    _signal(run, signal.SIGTERM)
    if not _freed(home, _DOWN_SECONDS):
        _signal(run, signal.SIGKILL)
        if not _freed(home, _DOWN_SECONDS):
            print(f"The supervisor of {home} (pid {run.pid}) does not stop.", file=sys.stderr)
            return 1
    print("Stopped; the data stay.")
    return 0


def status(settings: Settings) -> Status:
    """How the stack of this home is, each process asked at this moment."""
    home = settings.home.absolute()
    run = read_run(home)
    if run is None or not home_taken(home):
        return Status(running=False, pid=None, processes=())
    return Status(
        running=True,
        pid=run.pid,
        processes=tuple(
            ProcessHealth(
                process,
                trouble(process.ready) if process.state == "ready" else f"is {process.state}",
            )
            for process in run.processes
        ),
    )


def _supervise(
    home: Path,
    specs: Sequence[Spec],
    renewed: Callable[[], Sequence[Spec] | None],
    show: Callable[[tuple[ProcessState, ...]], None],
) -> int:
    started_at = time.time()

    def changed(processes: tuple[ProcessState, ...]) -> None:
        write_run(home, this_run(processes, started_at=started_at))
        show(processes)

    failed = Keeper(specs, home / "logs", changed=changed, renewed=renewed).run()
    if failed is None:
        return 0
    _report(failed, home / "logs" / f"{failed}.log")
    return 1


def _fork_supervisor(
    home: Path,
    specs: Sequence[Spec],
    renewed: Callable[[], Sequence[Spec] | None],
    lock: IO[str],
) -> None:
    """Twice, with a session of its own between: no terminal reaches it, nobody waits for it."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if child := os.fork():
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    _become_supervisor(home, specs, renewed, lock)


def _become_supervisor(
    home: Path,
    specs: Sequence[Spec],
    renewed: Callable[[], Sequence[Spec] | None],
    _lock: IO[str],
) -> NoReturn:
    code = 1
    try:
        quiet_stdio(home / "logs" / "supervisor.log")
        code = _supervise(home, specs, renewed, lambda _: None)
    except Exception:  # noqa: BLE001 - nobody above would print it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _watch(home: Path, since: float) -> int:
    """Show a detached supervisor's start until all is ready, or it gave up."""
    with board([]) as show:
        while True:
            gone = not home_taken(home)
            run = read_run(home)
            if run is not None and run.started_at >= since:
                show(run.processes)
                if all(process.state == "ready" for process in run.processes):
                    return 0
            if gone:
                break
            time.sleep(_POLL_SECONDS)
    failed = [p for p in (run.processes if run else ()) if p.state == "failed"]
    for process in failed:
        _report(process.name, Path(process.log))
    if not failed:
        _report("supervisor", home / "logs" / "supervisor.log")
    return 1


def _report(name: str, log: Path) -> None:
    # It was tried some times, and may have said the same each time.
    words = "\n".join(dict.fromkeys(tail(log).splitlines()))
    print(f"{name} could not be started; {log} ends with:\n{words}", file=sys.stderr)


def _signal(run: Run, number: int) -> None:
    if birth_of(run.pid) == run.birth:  # else it is somebody else's pid by now
        with suppress(ProcessLookupError):
            os.kill(run.pid, number)


def _freed(home: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while home_taken(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
