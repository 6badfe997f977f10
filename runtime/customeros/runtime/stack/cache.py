"""Where is what all homes of one user on this machine share?"""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/customeros`, or `~/.cache/customeros`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "customeros"
