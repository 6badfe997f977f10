"""How often does a process look for garbage in cycles?"""

from __future__ import annotations

import gc
from typing import Final

# Records come and go by the thousand, and what stays is kept decoded; hardly any of it is in a
# cycle. With Python's own 700 the walks over it are half of what folding costs.
_THRESHOLDS: Final = (50_000, 20, 50)


def collect_rarely() -> None:
    """Never walk what is there by now, and the rest seldom; called before the work begins."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
