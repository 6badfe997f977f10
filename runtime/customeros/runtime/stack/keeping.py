"""Keep processes up: start them in order, restart what dies or freezes, replace what changes."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from customeros.runtime.stack.processes import Spec, answers, bound_log, says_anything, spawn
from customeros.runtime.stack.pulse import Pulse
from customeros.runtime.stack.runfile import ProcessState, State

# How often processes and their logs are looked at, s.
_TICK_SECONDS = 0.1
# The first restart comes at once, then later and later, s; one that lasted a minute starts afresh.
_FIRST_BACKOFF, _LONGEST_BACKOFF, _STABLE_SECONDS = 0.25, 15.0, 60.0
# Deaths of a process that was never ready, after which the stack is given up while it starts.
_HOPELESS_DEATHS = 3


def startable(specs: Sequence[Spec], states: Mapping[str, State]) -> list[Spec]:
    """Those that wait, and wait for nobody that is not ready."""
    return [
        spec
        for spec in specs
        if states[spec.name] == "waiting" and all(states[name] == "ready" for name in spec.after)
    ]


def stoppable(specs: Sequence[Spec], alive: Collection[str]) -> list[Spec]:
    """Those alive that nobody alive was started after."""
    needed = {name for spec in specs if spec.name in alive for name in spec.after}
    return [spec for spec in specs if spec.name in alive and spec.name not in needed]


def backoff_seconds(deaths: int) -> float:
    """How long to wait before a restart, after so many deaths in a row: 0, ¼, ½, 1 … 15 s."""
    if deaths <= 1:
        return 0.0
    return float(min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(deaths - 2, 10)))


@dataclass
class _Kept:
    spec: Spec
    state: ProcessState
    child: subprocess.Popen[bytes] | None = None
    pulse: Pulse | None = None
    deaths: int = 0  # in a row, each soon after its start
    was_ready: bool = False
    restart_at: float = 0.0
    started: float = field(default=0.0)  # monotonic


class Keeper:
    """
    The processes of one stack; use it from the main thread.

    SIGTERM and SIGINT end it, as any thread does that sets `stopping`.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        logs: Path,
        *,
        changed: Callable[[tuple[ProcessState, ...]], None],
        renewed: Callable[[], Sequence[Spec] | None] = lambda: None,
    ) -> None:
        """
        Keep nothing yet; `run` does.

        Args:
            changed: told the state of all processes whenever one of them changes.
            renewed: asked again and again for the specs that are to hold from now on; None: these.
                Processes whose spec is another are stopped and started anew, all others stay.
        """
        self._logs = logs
        self._specs = tuple(specs)
        self._kept = [self._waiting(spec) for spec in specs]
        self._changed = changed
        self._renewed = renewed
        self._told: tuple[ProcessState, ...] = ()
        self.stopping = threading.Event()
        self._all_were_ready = False

    @property
    def ready(self) -> bool:
        """Whether every process is."""
        return all(kept.state.state == "ready" for kept in self._kept)

    def run(self) -> str | None:
        """Until asked to stop; the name of a process that could not be started, or None."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stopping.set())
        failed: str | None = None
        try:
            while not self.stopping.is_set() and failed is None:
                if (specs := self._renewed()) is not None:
                    self._replace(specs)
                failed = self._tick()
                self.stopping.wait(_TICK_SECONDS)
        finally:
            self.stopping.set()
            self._stop_all(self._specs)
        return failed

    def _tick(self) -> str | None:
        now = time.monotonic()
        for kept in self._kept:
            match kept.state.state:
                case "starting" | "ready" if kept.child and kept.child.poll() is not None:
                    if self._died(kept, now):
                        return kept.spec.name
                case "starting" if answers(kept.spec.ready):
                    kept.was_ready = True
                    kept.state = replace(kept.state, state="ready")
                    _listen(kept)
                case "ready" if kept.pulse and kept.pulse.frozen:
                    _end_frozen(kept)
                case "restarting" if now >= kept.restart_at:
                    kept.state = replace(kept.state, state="waiting")
                case _:
                    pass
            bound_log(Path(kept.state.log))
        for spec in startable(
            self._specs, {kept.spec.name: kept.state.state for kept in self._kept}
        ):
            self._start(next(kept for kept in self._kept if kept.spec is spec), now)
        self._all_were_ready |= self.ready
        self._tell()
        return None

    def _waiting(self, spec: Spec) -> _Kept:
        log = str(self._logs / f"{spec.name}.log")
        return _Kept(
            spec, ProcessState(spec.name, "waiting", port=spec.port, ready=spec.ready, log=log)
        )

    def _replace(self, specs: Sequence[Spec]) -> None:
        """From now on these: what they say otherwise is stopped first, and waits to be started."""
        self._stop_all([spec for spec in self._specs if spec not in specs])
        kept = {kept.spec.name: kept for kept in self._kept if kept.spec in specs}
        self._specs = tuple(specs)
        self._kept = [kept.get(spec.name) or self._waiting(spec) for spec in specs]

    def _start(self, kept: _Kept, now: float) -> None:
        kept.child = spawn(kept.spec, Path(kept.state.log))
        kept.started = now
        kept.state = replace(
            kept.state, state="starting", pid=kept.child.pid, started_at=time.time()
        )

    def _died(self, kept: _Kept, now: float) -> bool:
        """Whether there is no hope for it."""
        _listen_no_more(kept)
        kept.deaths = 1 if now - kept.started > _STABLE_SECONDS else kept.deaths + 1
        if not self._all_were_ready and not kept.was_ready and kept.deaths >= _HOPELESS_DEATHS:
            kept.state = replace(kept.state, state="failed", pid=None)
            return True
        kept.restart_at = now + backoff_seconds(kept.deaths)
        kept.state = replace(
            kept.state, state="restarting", pid=None, restarts=kept.state.restarts + 1
        )
        return False

    def _stop_all(self, specs: Sequence[Spec]) -> None:
        deadlines: dict[str, float] = {}
        leaving = [kept for kept in self._kept if kept.spec in specs]
        while alive := {k.spec.name: k for k in leaving if k.child and k.child.poll() is None}:
            for spec in stoppable(specs, alive):
                kept = alive[spec.name]
                if spec.name not in deadlines:
                    deadlines[spec.name] = time.monotonic() + spec.stop_seconds
                    kept.state = replace(kept.state, state="stopping")
                    _listen_no_more(kept)
                    self._tell()
                    _send(kept, signal.SIGTERM)
                elif time.monotonic() > deadlines[spec.name]:
                    _send(kept, signal.SIGKILL)
            self._settle(leaving)
            time.sleep(_TICK_SECONDS / 2)
        self._settle(leaving)

    def _settle(self, leaving: Sequence[_Kept]) -> None:
        for kept in leaving:
            if (kept.child is None or kept.child.poll() is not None) and (
                kept.state.state != "failed"
            ):
                kept.state = replace(kept.state, state="stopped", pid=None)
        self._tell()

    def _tell(self) -> None:
        states = tuple(kept.state for kept in self._kept)
        if states != self._told:
            self._told = states
            self._changed(states)


def _send(kept: _Kept, number: int) -> None:
    if kept.child is not None:
        kept.child.send_signal(number)


def _listen(kept: _Kept) -> None:
    if kept.spec.ready:
        kept.pulse = Pulse(
            partial(says_anything, kept.spec.ready), patience_seconds=kept.spec.patience_seconds
        )
        kept.pulse.start()


def _listen_no_more(kept: _Kept) -> None:
    if kept.pulse:
        kept.pulse.stop()
        kept.pulse = None


def _end_frozen(kept: _Kept) -> None:
    """No SIGTERM: one that is paused would not hear it, one that is deadlocked not obey."""
    with Path(kept.state.log).open("a") as log:
        log.write(f"No answer for {kept.spec.patience_seconds:g} s: the supervisor ends it.\n")
    _listen_no_more(kept)
    _send(kept, signal.SIGKILL)
