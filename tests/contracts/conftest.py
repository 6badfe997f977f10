"""What several contract tests put to the proof."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.delivery import CountingOnKafka


@pytest.fixture
def pipeline(kafka_bootstrap: str, unique: str, tmp_path: Path) -> Iterator[CountingOnKafka]:
    made = CountingOnKafka(kafka_bootstrap, unique, tmp_path)
    yield made
    made.stop()
