"""The processes of a platform on one machine."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from customeros.ops.laptop import specs
from customeros.runtime.settings import Api, ClickHouse, Collector, Kafka, Settings
from support.ports import few_ports

_FEW = range(31_100, 31_110)


def test_no_two_processes_listen_on_one_port(tmp_path: Path) -> None:
    """One of them would answer that the other is ready, which has ended."""
    settings = Settings(
        home=tmp_path,
        kafka=Kafka(port=_FEW[0]),
        clickhouse=ClickHouse(port=_FEW[1]),
        collector=Collector(port=_FEW[2]),
        api=Api(port=_FEW[3]),
    )

    with few_ports(_FEW):
        found = [urlsplit(spec.ready).port for spec in specs(settings)]

    assert len(set(found)) == len(found) == 8
