"""A machine's clock jumps for its processes: the time of day, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.chaos.clocks import Clock

# The first line is said before the clock jumps.
_TELL = """
import sys, threading, time
began, monotonic = time.time(), time.monotonic()
print("ready", flush=True)
sys.stdin.readline()
threading.Event().wait(0.05)
time.sleep(0.05)
print(round(time.time() - began), round(time.monotonic() - monotonic))
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("hours", [11.0, -11.0])
def test_a_running_process_believes_the_jump_and_waits_no_longer_for_it(
    tmp_path: Path, hours: float
) -> None:
    clock = Clock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _TELL],
        env={**os.environ, **clock.environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        clock.jump(hours)
        child.stdin.write("\n")
        child.stdin.flush()
        jumped, waited = map(int, child.stdout.readline().split())

    assert abs(jumped - hours * 3600) < 300
    assert abs(waited) < 300
