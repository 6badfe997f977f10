"""How each fault is done: steps, between which so many seconds pass."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import NewPartitions

from customeros.runtime.clients import admin
from support.chaos.clocks import Clock
from support.chaos.disks import Disk
from support.chaos.ledger import Ledger
from support.chaos.machines import Machine
from support.chaos.plan import WORKERS, Fault, Kind

_LOOK_SECONDS = 0.1
# A process that a fault needs comes back within this; else the fault is done without it.
_PATIENCE_SECONDS = 60.0
# Partitions: with four that are used, two machines would share seven in another way.
_MORE = 3
_ASK_SECONDS = 1.0
# The API keeps its live copies beside the state of the workers.
_WRITERS = {"state": (*WORKERS[:3], "api"), "kafka": ("kafka",), "clickhouse": ("clickhouse",)}


class Scene(NamedTuple):
    """What faults act on: machines, clocks by machine, disks by machine and part."""

    machines: Mapping[str, Machine]
    clocks: Mapping[str, Clock]
    disks: Mapping[tuple[str, str], Disk]
    ledger: Ledger


def steps_of(fault: Fault, scene: Scene) -> Iterator[float]:
    """Do *fault*; the caller sleeps for what each step yields, and lets others act meanwhile."""
    machine, ledger, name = scene.machines[fault.machine], scene.ledger, fault.name
    of_kind = {
        Kind.KILL: lambda: _kill(machine, name, ledger),
        Kind.KILL_ALL: lambda: _kill_all(machine, ledger),
        Kind.LOSE_DISK: lambda: _lose_disk(machine, name, ledger),
        Kind.PAUSE: lambda: _pause(machine, name, fault.seconds, ledger),
        Kind.PAUSE_ALL: lambda: _pause_all(machine, fault.seconds, ledger),
        Kind.ROLL: lambda: _roll(machine, ledger),
        Kind.AWAY: lambda: _keep_away(machine, name, fault.seconds, ledger),
        Kind.FULL: lambda: _fill(scene, fault),
        Kind.CLOCK: lambda: _jump(scene.clocks[fault.machine], fault.hours),
        Kind.PARTITIONS: lambda: _add_partitions(machine, name),
    }
    return of_kind[fault.kind]()


def _kill(machine: Machine, name: str, ledger: Ledger) -> Iterator[float]:
    for _ in range(round(_PATIENCE_SECONDS / _LOOK_SECONDS)):
        if (pid := machine.signal(name, signal.SIGKILL)) is not None:
            ledger.doom(pid)
            return
        yield _LOOK_SECONDS


def _kill_all(machine: Machine, ledger: Ledger) -> Iterator[float]:
    """The kernel ends the others with it; then it is started again."""
    if machine.has_ended():  # another such fault is about to start it
        return
    ledger.doom(*machine.pids().values())
    with suppress(ProcessLookupError):
        os.kill(machine.pid, signal.SIGKILL)
    while not machine.has_ended() or machine.pids():
        yield _LOOK_SECONDS
    machine.start()


def _lose_disk(machine: Machine, name: str, ledger: Ledger) -> Iterator[float]:
    yield from _kill(machine, name, ledger)
    folder = machine.settings.home / "state" / f"{machine.settings.prefix}{name}"
    lost = folder.with_name(f"lost-{name}")
    # At once: its successor takes half a second to begin.
    with suppress(FileNotFoundError):
        folder.replace(lost)
    shutil.rmtree(lost, ignore_errors=True)


def _pause(machine: Machine, name: str, seconds: float, ledger: Ledger) -> Iterator[float]:
    for _ in range(round(_PATIENCE_SECONDS / _LOOK_SECONDS)):
        if (pid := machine.signal(name, signal.SIGSTOP)) is not None:
            break
        yield _LOOK_SECONDS
    else:
        return
    ledger.doom(pid)
    yield seconds
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _pause_all(machine: Machine, seconds: float, ledger: Ledger) -> Iterator[float]:
    pids = [machine.pid, *machine.pids().values()]
    ledger.doom(*pids)
    _signal_all(pids, signal.SIGSTOP)
    yield seconds
    _signal_all(pids, signal.SIGCONT)


def _roll(machine: Machine, ledger: Ledger) -> Iterator[float]:
    """One after the other is told to stop, and waited for until it is at work again."""
    for name in WORKERS:
        pid = machine.signal(name, signal.SIGTERM)
        if pid is None:
            continue
        ledger.doom(pid)
        for _ in range(round(_PATIENCE_SECONDS / _LOOK_SECONDS)):
            now = machine.processes().get(name)
            if now and now.pid not in (None, pid) and now.state == "ready":
                break
            yield _LOOK_SECONDS


def _keep_away(machine: Machine, name: str, seconds: float, ledger: Ledger) -> Iterator[float]:
    """
    Kill it whenever it is ready again: a supervisor that begins anew meanwhile would take one that
    dies before for one that cannot be started, and rightly give up.
    """
    ledger.suffer(machine.name, name, on=True)
    for _ in range(round(seconds / _LOOK_SECONDS)):
        now = machine.processes().get(name)
        if now and now.state == "ready" and (pid := machine.signal(name, signal.SIGKILL)):
            ledger.doom(pid)
        yield _LOOK_SECONDS
    ledger.suffer(machine.name, name, on=False)


def _fill(scene: Scene, fault: Fault) -> Iterator[float]:
    machine, disk = scene.machines[fault.machine], scene.disks[fault.machine, fault.name]
    names = _WRITERS[fault.name]
    for name in names:
        scene.ledger.suffer(machine.name, name, on=True)
    pids = [pid for name, pid in machine.pids().items() if name in names]
    disk.fill(pids)
    yield fault.seconds
    disk.empty(pids)
    # What failed to write ends a little later.
    yield 2.0
    for name in names:
        scene.ledger.suffer(machine.name, name, on=False)


def _jump(clock: Clock, hours: float) -> Iterator[float]:
    clock.jump(hours)
    yield 0.0


def _add_partitions(machine: Machine, topic: str) -> Iterator[float]:
    """
    Until the broker has done it; it may be away, or about to be.

    It is asked beside: who waits here keeps the other faults waiting, its own return among them.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with ThreadPoolExecutor(1) as pool:
        while time.monotonic() < deadline:
            asked = pool.submit(_ask_for_more, machine, topic)
            while not asked.done():
                yield _LOOK_SECONDS
            if asked.result():
                return
            yield _LOOK_SECONDS


def _ask_for_more(machine: Machine, topic: str) -> bool:
    """Whether the broker did it."""
    client = admin(machine.settings)
    try:
        known = client.list_topics(topic, timeout=_ASK_SECONDS).topics
        wanted = NewPartitions(topic, len(known[topic].partitions) + _MORE)
        client.create_partitions([wanted], request_timeout=_ASK_SECONDS)[topic].result()
    except (KafkaException, KeyError):
        return False
    return True


def _signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
