"""With how many partitions did the embedded broker of a home begin?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from customeros.runtime.numbers import keep_number, kept_number

FILE: Final = "partitions"
# Where everything shares a machine, more are more transactions of fewer events, and no more speed.
_PARTITIONS: Final = 2
# Of homes that are older than the file.
_PARTITIONS_BEFORE: Final = 4


def begun_with(home: Path) -> int:
    """
    The number that holds in this home, unless its processes' environment says another.

    Raises:
        Misconfigured: the file is not one that `begin_with` has written.
    """
    return kept_number(
        home / FILE,
        missing=lambda: _PARTITIONS_BEFORE if broker_folder(home).exists() else _PARTITIONS,
        remedy="does not name a number of partitions: write into it how many customer-state has, "
        "or was made with",
    )


def begin_with(home: Path, partitions: int) -> None:
    """Remember the number; before the broker keeps its first record."""
    keep_number(home / FILE, partitions)


def broker_folder(home: Path) -> Path:
    """Where the broker keeps its records."""
    return home.absolute() / "kafka" / "data"
