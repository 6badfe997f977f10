"""What do two generations say differently?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from customeros.ops.digest import Digest, Facts, digest_of


class Differences(NamedTuple):
    """Names, in order: those that only one side has, and those of which both say something else."""

    only_running: tuple[str, ...]
    only_rebuilt: tuple[str, ...]
    other: tuple[str, ...]


class Comparison(NamedTuple):
    """
    Two generations at the same place in the log.

    Args:
        customers: by `workspace|customer id`.
        identifiers: by `workspace|key`, of those that joined another customer than their own.
        accounts: by `workspace|account id`.
    """

    running: Digest
    rebuilt: Digest
    customers: Differences
    identifiers: Differences
    accounts: Differences

    @property
    def equal(self) -> bool:
        """Whether both say the same."""
        return self.running == self.rebuilt


def compare(running: Facts, rebuilt: Facts) -> Comparison:
    """What the digests are over, side by side."""
    return Comparison(
        digest_of(running),
        digest_of(rebuilt),
        _differences(running.customers, rebuilt.customers),
        _differences(running.moved, rebuilt.moved),
        _differences(running.accounts, rebuilt.accounts),
    )


def _differences(running: Mapping[str, str], rebuilt: Mapping[str, str]) -> Differences:
    both = running.keys() & rebuilt.keys()
    return Differences(
        tuple(sorted(running.keys() - both)),
        tuple(sorted(rebuilt.keys() - both)),
        tuple(sorted(name for name in both if running[name] != rebuilt[name])),
    )
