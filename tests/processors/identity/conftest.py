"""The seed of the generated histories, and how many of them were tried."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from customeros.processors.identity import sweep
from support.tried import tried


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few identifiers are enough for rules to be taken up in several pieces."""
    monkeypatch.setattr(sweep, "PIECE", 3)


@pytest.fixture(scope="session")
def history_seed(pytestconfig: pytest.Config) -> int:
    """Of `--seed`."""
    return int(pytestconfig.getoption("--seed"))


@pytest.fixture
def count_histories(pytestconfig: pytest.Config) -> Callable[[int], None]:
    """Say that so many were tried; the suite's last lines tell the sum."""
    return partial(tried, pytestconfig)
