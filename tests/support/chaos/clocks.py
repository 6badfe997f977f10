"""Clocks that jump: the processes of a machine believe a file, where there is a C compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("clock.c")


class Clock:
    """
    What the processes of a machine take for the time of day; how long things take stays true.

    Args:
        home: of the machine.
    """

    def __init__(self, home: Path) -> None:
        self._file = home / "clock"

    def environment(self) -> Mapping[str, str]:
        """Of processes that are to believe it; empty: this machine has no C compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            return {}
        library = self._file.with_suffix(".so")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self.jump(0)
        command = [compiler, "-shared", "-fPIC", "-O2", str(_SOURCE), "-o", str(library), "-ldl"]
        subprocess.run(command, check=True)
        return {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(self._file)}

    def jump(self, hours: float) -> None:
        """Be so much later than the true time; everybody knows at once."""
        if self._file.exists():
            with self._file.open("r+b") as file:
                file.write(_seconds(hours))
        else:
            self._file.write_bytes(_seconds(hours))


def _seconds(hours: float) -> bytes:
    return struct.pack("@q", round(hours * 3600))
