"""
Run a command that dies when its parent does: `python -I -S tether.py PARENT_PID COMMAND…`.

The kernel's promise (PR_SET_PDEATHSIG) holds from the call on and survives exec, so no orphan is
left however the parent ends. It is tied to the parent's *thread*: start tethered commands from the
main one. Run as a file and with the standard library alone, it costs about 20 ms; elsewhere than on
Linux it just runs the command.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel had promised anything
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
