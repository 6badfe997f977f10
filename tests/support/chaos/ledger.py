"""Which processes ended, and which of them by themselves, beside whatever was done to others?"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple


class Life(NamedTuple):
    """A process of a machine, from its start to its end."""

    machine: str
    name: str
    pid: int


class Ledger:
    """Lives as they are seen; those that a fault meant to end, or may end, are not counted."""

    def __init__(self) -> None:
        self._seen: set[Life] = set()
        self._doomed: set[int] = set()
        self._victims: Counter[tuple[str, str]] = Counter()

    def see(self, lives: set[Life]) -> None:
        """These live now; of a victim of a fault that is going on any end is expected."""
        self._seen |= lives
        self._doomed |= {life.pid for life in lives if self._victims[life.machine, life.name] > 0}

    def doom(self, *pids: int) -> None:
        """These are ended, or are as good as ended, by a fault."""
        self._doomed.update(pids)

    def suffer(self, machine: str, name: str, *, on: bool) -> None:
        """From now on, or no longer, a fault lasts that may end this process again and again."""
        self._victims[machine, name] += 1 if on else -1

    def ended_by_themselves(self, alive: set[Life]) -> Counter[str]:
        """By name of the process: how many have ended that no fault was meant for."""
        return Counter(life.name for life in self._seen - alive if life.pid not in self._doomed)
