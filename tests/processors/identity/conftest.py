"""The seed of the generated histories, and how many of them were tried."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from customeros.processors.identity import sweep

_SEED = pytest.StashKey[int]()
_TRIED = pytest.StashKey[int]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if tried := config.stash.get(_TRIED, 0):
        seed = config.stash[_SEED]
        terminalreporter.write_line(f"identity: {tried:,} generated histories, seed {seed}")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few identifiers are enough for rules to be taken up in several pieces."""
    monkeypatch.setattr(sweep, "PIECE", 3)


@pytest.fixture(scope="session")
def history_seed(pytestconfig: pytest.Config) -> int:
    """Of `--seed`; another one each time, if that is wanted."""
    wanted = pytestconfig.getoption("--seed")
    seed = random.randrange(2**32) if wanted == "random" else int(wanted)
    return pytestconfig.stash.setdefault(_SEED, seed)


@pytest.fixture
def count_histories(pytestconfig: pytest.Config, history_seed: int) -> Callable[[int], None]:
    """Say that so many were tried; the suite's last lines tell the sum."""

    def count(tried: int) -> None:
        stash = pytestconfig.stash
        stash[_TRIED] = stash.get(_TRIED, 0) + tried

    return count
