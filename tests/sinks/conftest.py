"""A sink with topics and a database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sink import SinkStack, sink_settings


@pytest.fixture
def stack(
    kafka_bootstrap: str, clickhouse_url: str, clickhouse_database: str, unique: str, tmp_path: Path
) -> SinkStack:
    """Topics are there, tables are not; `stack.sink()` or `stack.process()` starts it."""
    settings = sink_settings(kafka_bootstrap, clickhouse_url, unique)
    assert settings.clickhouse.database == clickhouse_database
    return SinkStack(settings, tmp_path)
