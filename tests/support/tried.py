"""How many generated histories were tried, whichever process of the suite tried them."""

from __future__ import annotations

from typing import Any, Final

import pytest

_TRIED: Final = pytest.StashKey[int]()
_NAME: Final = "histories"


def tried(config: pytest.Config, histories: int) -> None:
    """Add so many to the sum that the suite's last lines tell."""
    config.stash[_TRIED] = config.stash.get(_TRIED, 0) + histories


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_NAME] = session.config.stash.get(_TRIED, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    tried(node.config, getattr(node, "workeroutput", {}).get(_NAME, 0))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if histories := config.stash.get(_TRIED, 0):
        seed = config.getoption("--seed")
        terminalreporter.write_line(f"identity: {histories:,} generated histories, seed {seed}")
