"""Which measurements are there? In the order in which `all` takes them and the document shows."""

from __future__ import annotations

from typing import Final

from benchmarks import (
    growth,
    latency,
    lines,
    organisation,
    overload,
    reads,
    recovery,
    scale_out,
    stages,
    supernode,
    whole,
)
from benchmarks.engine import measure as engine
from benchmarks.measurement import Measurement

MEASUREMENTS: Final[tuple[Measurement, ...]] = (
    whole.MEASUREMENT,
    latency.MEASUREMENT,
    stages.MEASUREMENT,
    engine.MEASUREMENT,
    engine.KILLED,
    overload.MEASUREMENT,
    reads.MEASUREMENT,
    growth.MEASUREMENT,
    scale_out.MEASUREMENT,
    recovery.MEASUREMENT,
    supernode.MEASUREMENT,
    organisation.MEASUREMENT,
    lines.MEASUREMENT,
)
