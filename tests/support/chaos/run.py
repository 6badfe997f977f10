"""One run: everything starts, calls come in, the faults of the plan happen, and it is judged."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError

from customeros.ops.lag import stage_lags
from customeros.runtime.clients import producer
from customeros.runtime.errors import Unavailable
from customeros.runtime.stack import supervisor
from customeros.runtime.topics import prefixed
from customeros.schemas.event import Family
from customeros.schemas.topics import EVENTS
from support.chaos.client import Clients
from support.chaos.clocks import Clock
from support.chaos.disks import Disk
from support.chaos.faults import Scene, steps_of
from support.chaos.ledger import Ledger, Life
from support.chaos.machines import Machine, machines, url_of, write_keys
from support.chaos.oracle import expected_of
from support.chaos.plan import Fault, Kind, Plan
from support.chaos.stores import POISON, found_in, written
from support.chaos.traffic import calls_of
from support.chaos.verdict import Wrong, judge
from support.chaos.watching import Watchers
from support.histories import WORKSPACE
from support.waiting import until

_TICK_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 1.0
_START_SECONDS: Final = 300.0
_REST_SECONDS: Final = 300.0
_STAGES_THAT_REFUSE: Final = 3


class Recovery(NamedTuple):
    """A fault, and how long after its beginning everything was at work with nothing waiting, s."""

    fault: Fault
    seconds: float


class Result(NamedTuple):
    """
    What came of a plan.

    Args:
        wrong: all that must not be.
        recoveries: of each fault; faults overlap and calls come in, which counts into them.
        ended: processes by name that ended by themselves, beside the faults.
        events: accepted ones, each once; watched: versions that a consumer saw.
    """

    plan: Plan
    wrong: Sequence[Wrong]
    recoveries: Sequence[Recovery]
    ended: Counter[str]
    events: int
    watched: int
    seconds: float


def run_plan(plan: Plan, home: Path, *, say: Callable[[str], None] = lambda _: None) -> Result:
    """
    Run *plan* in the new folder *home*, from the main thread; the logs stay there.

    Raises:
        AssertionError: the platform did not start, or did not come to rest.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        scene = _scene(plan, home)
        for disk in scene.disks.values():
            stack.callback(disk.unmount)
            disk.mount()
        for machine in scene.machines.values():
            stack.callback(machine.stop)
        first, *others = scene.machines.values()
        first.start()
        _await_healthy(first)
        for machine in others:
            machine.start()
        for machine in others:
            _await_healthy(machine)
        return _Run(plan, scene, say).through(began)


class _Run:
    def __init__(self, plan: Plan, scene: Scene, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._scene = scene
        self._say = say
        self._settings = scene.machines["a"].settings
        self._calls = calls_of(plan.seed, people=plan.people, events_each=plan.events_each)
        self._quiet: list[float] = []
        self._looked = 0.0

    def through(self, began: float) -> Result:
        asked = [f"user_id:user-{person}" for person in range(self._plan.people)]
        clients = Clients(
            url_of(self._settings.collector),
            write_keys(self._settings),
            self._calls,
            seconds=self._plan.sending_seconds,
            seed=self._plan.seed,
        )
        with Watchers(self._settings, asked) as watchers:
            poison = self._write_poison()
            start = time.monotonic()
            clients.start()
            times = self._act(start)
            self._until_rest(clients)
            told = clients.told
            ended = self._scene.ledger.ended_by_themselves(self._alive())
            expected = expected_of(self._calls, told, written(self._settings), self._settings)
            # What the views show comes by itself, a moment after the lag is gone.
            deadline = time.monotonic() + 15
            while True:
                found = found_in(self._settings, expected, watchers.steps_back)
                wrong = judge(expected, found, accepted=told.accepted, poison=poison)
                if not wrong or time.monotonic() > deadline:
                    break
                time.sleep(1)
        return Result(
            self._plan,
            wrong,
            [
                Recovery(fault, next((q for q in self._quiet if q > at), time.monotonic()) - at)
                for fault, at in times.items()
            ],
            ended,
            len(expected.events),
            watchers.seen,
            time.monotonic() - began,
        )

    def _write_poison(self) -> frozenset[str]:
        """Records that no stage can read, each of them once."""
        names = [f"{WORKSPACE}/poison-{number}" for number in range(_STAGES_THAT_REFUSE)]
        sender = producer(self._settings)
        for name in names:
            sender.produce(
                prefixed(self._settings, EVENTS[Family.BEHAVIORAL]), POISON, name.encode()
            )
        assert sender.flush(30) == 0
        return frozenset(names)

    def _act(self, start: float) -> dict[Fault, float]:
        """Do all faults, each at its time; when each began."""
        waiting = sorted(self._plan.faults)
        acting: list[tuple[float, Iterator[float]]] = []
        times: dict[Fault, float] = {}
        while waiting or acting:
            now = time.monotonic()
            if waiting and now >= start + waiting[0].at:
                fault = waiting.pop(0)
                self._say(str(fault))
                times[fault] = now
                acting.append((now, steps_of(fault, self._scene)))
            due, acting = (
                [act for act in acting if act[0] <= now],
                [act for act in acting if act[0] > now],
            )
            for _, steps in due:
                pause = next(steps, None)
                if pause is not None:
                    acting.append((now + pause, steps))
            self._look()
            time.sleep(_TICK_SECONDS)
        return times

    def _until_rest(self, clients: Clients) -> None:
        deadline = time.monotonic() + _REST_SECONDS
        sent = float("inf")
        while True:
            if clients.done and sent == float("inf"):
                sent = time.monotonic()
            self._look()
            # Twice, as what is at rest may have been asked between two stages.
            if sum(q > sent for q in self._quiet) >= 2:
                return
            for machine in self._scene.machines.values():
                assert not machine.has_ended(), f"the supervisor of {machine.name} has ended"
            assert time.monotonic() < deadline, (
                f"no rest within {_REST_SECONDS:g} s: {self._why(clients)}"
            )
            time.sleep(_TICK_SECONDS)

    def _look(self) -> None:
        """See who lives; and, less often, whether everything is at work with nothing waiting."""
        self._scene.ledger.see(self._alive())
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            if all(m.healthy() for m in self._scene.machines.values()) and not self._lag():
                self._quiet.append(time.monotonic())
            self._looked = time.monotonic()

    def _lag(self) -> int:
        try:
            return sum(stage_lags(self._settings).values())
        except (Unavailable, ClickHouseError):
            return -1

    def _alive(self) -> set[Life]:
        return {
            Life(machine.name, name, pid)
            for machine in self._scene.machines.values()
            for name, pid in machine.pids().items()
        }

    def _why(self, clients: Clients) -> str:
        """What keeps it from rest."""
        try:
            lags: Any = stage_lags(self._settings)
        except Unavailable as error:
            lags = error
        troubles = {
            f"{machine.name}/{health.process.name}": health.trouble
            for machine in self._scene.machines.values()
            for health in supervisor.status(machine.settings).processes
            if not health.healthy
        }
        return f"all sent: {clients.done}, lag {lags}, {troubles}"


def _scene(plan: Plan, home: Path) -> Scene:
    folders = {name: home / name for name in ("a", *("b" * plan.two_machines))}
    clocks = {name: Clock(folder) for name, folder in folders.items()}
    env: Mapping[str, Mapping[str, str]] = (
        {name: clock.environment() for name, clock in clocks.items()} if plan.clocks_jump else {}
    )
    made = {m.name: m for m in machines(home, two=plan.two_machines, env=env)}
    full = {(f.machine, f.name) for f in plan.faults if f.kind is Kind.FULL}
    return Scene(
        made,
        clocks,
        {(machine, part): Disk(folders[machine], part) for machine, part in full},
        Ledger(),
    )


def _await_healthy(machine: Machine) -> None:
    def healthy() -> bool:
        assert not machine.has_ended(), f"see {machine.settings.home}/logs/supervisor.log"
        return machine.healthy()

    until(healthy, seconds=_START_SECONDS, every=0.2, what=f"{machine.settings.home} is ready")


def clear(home: Path) -> None:
    """Take the folder of a run away."""
    shutil.rmtree(home, ignore_errors=True)
