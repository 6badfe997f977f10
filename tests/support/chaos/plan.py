"""What is done to the platform in a run, and when: all of it follows from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from customeros.schemas.topics import all_topics

# A worker's session; whoever is paused for longer has a successor when it wakes.
SESSION_SECONDS: Final = 6.0
WORKERS: Final = ("resolve", "graph", "state", "sink-clickhouse")
FOLDING: Final = WORKERS[:3]
SERVERS: Final = ("kafka", "clickhouse", "collector", "api")
TOPICS: Final = tuple(topic.name for topic in all_topics(FOLDING))
# Faults begin within so many seconds of the first call.
_WINDOW_SECONDS: Final = 20.0
_FEWEST, _MOST = 8, 11
# Brokers refuse records of more than an hour ahead of them, and inner records stay a day.
_JUMPS_HOURS: Final = (-11.0, 0.9)


class Kind(StrEnum):
    """What can happen to a process, a machine, a disk or a clock."""

    KILL = "kill -9"
    KILL_ALL = "kill -9 of a supervisor"
    LOSE_DISK = "lost local disk"
    PAUSE = "pause beyond the session"
    PAUSE_ALL = "pause of a whole machine"
    ROLL = "rolling restart"
    AWAY = "away for seconds"
    FULL = "full disk"
    CLOCK = "clock jump"
    PARTITIONS = "partitions added"


class Fault(NamedTuple):
    """
    One thing that goes wrong.

    Args:
        at: s after the first call.
        machine: `a` has everything, `b` a second worker of each stage.
        name: the process, the disk that is full or the topic; empty: all of the machine.
        seconds: until it is undone; 0: it happens at once.
        hours: that the clock is ahead of the true time from then on.
    """

    at: float
    kind: Kind
    machine: str = "a"
    name: str = ""
    seconds: float = 0.0
    hours: float = 0.0

    def __str__(self) -> str:
        words = [f"{self.at:5.1f} s", self.kind, f"{self.machine}/{self.name}".rstrip("/")]
        if self.seconds:
            words.append(f"for {self.seconds:.1f} s")
        if self.hours:
            words.append(f"to {self.hours:+.1f} h")
        return " ".join(words)


class Plan(NamedTuple):
    """
    One run.

    Args:
        people: how many the calls are about, in `traffic.calls_of`; events_each: of each of them.
        two_machines: whether every stage has a second worker.
    """

    seed: int
    people: int
    events_each: int
    two_machines: bool
    faults: Sequence[Fault]

    @property
    def sending_seconds(self) -> float:
        """The calls are spread over so long, so that every fault meets some."""
        return max((fault.at + fault.seconds for fault in self.faults), default=1.0)

    @property
    def clocks_jump(self) -> bool:
        """Whether the processes have to believe a clock that can be set."""
        return any(fault.kind is Kind.CLOCK for fault in self.faults)

    @property
    def disks_fill(self) -> bool:
        """Whether there have to be small disks."""
        return any(fault.kind is Kind.FULL for fault in self.faults)


def plan_of(seed: int) -> Plan:
    """The run of *seed*."""
    chance = random.Random(seed)
    two_machines = chance.random() < 0.7
    number = chance.randint(_FEWEST, _MOST)
    moments = sorted(chance.uniform(0.5, _WINDOW_SECONDS) for _ in range(number))
    return Plan(
        seed,
        people=chance.randint(40, 80),
        events_each=chance.randint(10, 16),
        two_machines=two_machines,
        faults=tuple(_fault(chance, at, two_machines) for at in moments),
    )


def _fault(chance: random.Random, at: float, two_machines: bool) -> Fault:
    machine = chance.choice("ab") if two_machines else "a"
    worker = chance.choice(WORKERS)
    anything = worker if machine == "b" else chance.choice((*WORKERS, *SERVERS))
    beyond = SESSION_SECONDS + chance.uniform(1.0, 3.0)
    (kind,) = chance.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))
    hours = chance.uniform(*chance.choice(((_JUMPS_HOURS[0], 0.0), (0.0, _JUMPS_HOURS[1]))))
    disk = chance.choice(("state", "kafka", "clickhouse"))
    topic = chance.choice(TOPICS)
    # Where there is one machine only, nobody takes over: all of it sleeps and wakes.
    sleeper = "b" if two_machines else "a"
    of_kind = {
        Kind.KILL: Fault(at, kind, machine, anything),
        Kind.LOSE_DISK: Fault(at, kind, machine, chance.choice(FOLDING)),
        Kind.PAUSE: Fault(at, kind, machine, anything, beyond),
        Kind.PAUSE_ALL: Fault(at, kind, sleeper, "", beyond),
        Kind.AWAY: Fault(at, kind, "a", chance.choice(("kafka", "clickhouse")), beyond / 2),
        Kind.FULL: Fault(at, kind, machine if disk == "state" else "a", disk, beyond / 2),
        Kind.CLOCK: Fault(at, kind, machine, hours=hours),
        Kind.PARTITIONS: Fault(at, kind, "a", topic),
    }
    return of_kind.get(kind, Fault(at, kind, machine))


# How often each is drawn, beside the others.
_WEIGHTS: Final = {
    Kind.KILL: 30,
    Kind.KILL_ALL: 6,
    Kind.LOSE_DISK: 12,
    Kind.PAUSE: 12,
    Kind.PAUSE_ALL: 4,
    Kind.ROLL: 6,
    Kind.AWAY: 8,
    Kind.FULL: 8,
    Kind.CLOCK: 10,
    Kind.PARTITIONS: 8,
}
