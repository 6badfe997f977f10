"""What has a process used so far? CPU time and memory, as the kernel counts them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

_TICK_SECONDS: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """CPU: user and system of all its threads, in steps of the kernel's tick (10 ms)."""

    cpu_seconds: float
    rss_bytes: int


def usage(pid: int) -> Usage:
    """
    Of a process of this machine, since its start.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        # The name in the second field may hold anything; the fields after it are numbers.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    user, system, pages = int(fields[11]), int(fields[12]), int(fields[21])
    if fields[0] == "Z":  # what it used stays readable until it is waited for
        raise ProcessLookupError(pid)
    return Usage((user + system) * _TICK_SECONDS, pages * _PAGE_BYTES)


def peak_rss_bytes(pid: int) -> int:
    """
    The most that it ever had.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise ProcessLookupError(pid)
