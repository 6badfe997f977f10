"""With which exit code does a process end, and how at once?"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final, NoReturn

# Of sysexits.h.
EXIT_CRASHED: Final = os.EX_SOFTWARE  # start it again
EXIT_UNAVAILABLE: Final = os.EX_TEMPFAIL  # trying again may help
EXIT_MISCONFIGURED: Final = os.EX_CONFIG  # it needs a person


def end_at_once(code: int) -> NoReturn:
    """End this process, threads and all; what it has logged is written."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
