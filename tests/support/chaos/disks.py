"""Disks that fill up: a small one below a folder, or where that takes root, a limit of files."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

# Sparse files do not count; a run writes some 100 MB.
_USUAL_KB: Final = 2 << 20
_FOLDERS: Final = {"state": "state", "kafka": "kafka/data", "clickhouse": "clickhouse"}


class Disk:
    """The part `state`, `kafka` or `clickhouse` of a machine's home, as a disk of its own."""

    def __init__(self, home: Path, part: str) -> None:
        self.folder = home / _FOLDERS[part]
        self.is_own = False

    def mount(self) -> bool:
        """Put a file system of its own there; False: this user may not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.is_own = os.geteuid() == 0 and self._sized(_USUAL_KB, "-t", "tmpfs", "tmpfs")
        return self.is_own

    def fill(self, pids: Iterable[int]) -> None:
        """Let nothing more fit; without a file system of its own, for *pids* alone."""
        if self.is_own:
            used = os.statvfs(self.folder)
            taken = (used.f_blocks - used.f_bfree) * used.f_frsize >> 10
            self._sized(taken + 4, "-o", "remount")
        else:
            _limit(pids, 0)

    def empty(self, pids: Iterable[int]) -> None:
        """Let there be room again."""
        if self.is_own:
            self._sized(_USUAL_KB, "-o", "remount")
        else:
            _limit(pids, resource.RLIM_INFINITY)

    def unmount(self) -> None:
        """Forget what is on it."""
        if self.is_own:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
            self.is_own = False

    def _sized(self, kilobytes: int, *how: str) -> bool:
        command = ["mount", *how, "-o", f"size={kilobytes}k", str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _limit(pids: Iterable[int], size: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
