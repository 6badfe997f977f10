"""Which generation of all that is derived is in force in a home?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from customeros.runtime.numbers import keep_number, kept_number
from customeros.schemas.topics import FIRST_GENERATION

FILE: Final = "generation"


def in_force(home: Path) -> int:
    """
    The generation that this home's processes are of, unless their environment says another.

    Raises:
        Misconfigured: the file is not one that `put_in_force` has written.
    """
    return kept_number(
        home / FILE,
        missing=lambda: FIRST_GENERATION,
        remedy="does not name a generation: write the number of the one in force into it "
        "(`customeros replay status` lists them), or remove it for the first",
    )


def put_in_force(home: Path, generation: int) -> None:
    """From now on *generation* is in force; whoever reads meanwhile sees the old or the new one."""
    keep_number(home / FILE, generation)
