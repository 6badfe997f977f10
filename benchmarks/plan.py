"""
What would so many events a second take? Arithmetic on what was measured, for docs/scaling.md.

`python -m benchmarks.plan [EVENTS_A_SECOND]` prints it for the kept measurement `whole`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from benchmarks import whole
from benchmarks.kept import FOLDER, read_kept
from benchmarks.report import Row, Section, markdown

# What does not belong to the platform, or does not grow with events.
_LEFT_OUT: Final = ("client", "api")
_SECONDS_A_DAY: Final = 86_400
_SECONDS_A_MONTH: Final = 30 * _SECONDS_A_DAY


class Assumed(NamedTuple):
    """
    What no measurement here can say.

    Args:
        busy: share of a core that is planned with, so that peaks and a lost machine fit.
        replicas: of every Kafka partition; each costs a broker again what the first one does.
        clickhouse_replicas: of every shard; each inserts and merges again.
        core_month: price of a core with 4 GB of memory, $.
        tb_month: price of a TB of disk, $.
        crossing_gb: price of a GB between two zones, $.
    """

    busy: float = 0.6
    replicas: int = 3
    clickhouse_replicas: int = 2
    core_month: float = 25.0
    tb_month: float = 80.0
    crossing_gb: float = 0.02


class Bytes(NamedTuple):
    """Of one event on disk, lz4, one replica, measured on seeded traffic: see docs/scaling.md."""

    events: float = 120.0
    resolved: float = 124.0
    contributions: float = 170.0
    compacted: float = 390.0
    other: float = 40.0

    @property
    def written(self) -> float:
        return sum(self)


def plan(
    micros: Mapping[str, float],
    *,
    rate: float,
    assumed: Assumed = Assumed(),  # noqa: B008 - a frozen value
    size: Bytes = Bytes(),  # noqa: B008
    kept_days: float = 7.0,
) -> list[Section]:
    """
    Cores and money by process, then Kafka's bytes.

    Args:
        micros: CPU of one event by process, µs.
        rate: events a second. kept_days: of `events.*` and `events.resolved`.
    """
    copies = {"kafka": assumed.replicas, "clickhouse": assumed.clickhouse_replicas}
    rows: list[Row] = []
    for name, cost in micros.items():
        if not name.startswith(_LEFT_OUT):
            cores = math.ceil(rate * cost * copies.get(name, 1) / 1e6 / assumed.busy)
            rows.append(
                {
                    "process": name,
                    "µs/event": cost,
                    "copies": copies.get(name, 1),
                    "cores": cores,
                    "$/month": round(cores * assumed.core_month),
                }
            )
    log = size.events + size.resolved
    kept = rate * _SECONDS_A_DAY * (log * kept_days + size.contributions) * assumed.replicas
    crossing = rate * size.written * (assumed.replicas - 1)
    disk: Row = {
        "process": "Kafka's disks",
        "TB": round(kept / 1e12),
        "$/month": round(kept / 1e12 * assumed.tb_month),
    }
    network: Row = {
        "process": "Kafka's replicas in other zones",
        "GB/s": crossing / 1e9,
        "$/month": round(crossing / 1e9 * _SECONDS_A_MONTH * assumed.crossing_gb),
    }
    rows += [disk, network]
    total: Row = {
        "process": "all",
        "cores": sum(int(row.get("cores", 0)) for row in rows),
        "$/month": sum(int(row["$/month"]) for row in rows),
    }
    return [Section(f"{rate:,.0f} events/s", f"{assumed}; {size}.", [*rows, total])]


def main() -> None:
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 1e6
    kept = read_kept(FOLDER, [whole.MEASUREMENT]).get("whole")
    if kept is None:
        sys.exit("nothing is kept: python -m benchmarks --keep whole")
    # As the table shows them, so that whoever reads it can follow the arithmetic.
    micros = {
        str(row["process"]): float(f"{row['CPU µs/event']:.3g}")
        for section in kept.sections
        for row in section.rows
        if "process" in row
    }
    for section in plan(micros, rate=rate):
        print(markdown(section))


if __name__ == "__main__":
    main()
