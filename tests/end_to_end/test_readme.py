"""What the README tells people to type works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from customeros.runtime.settings import Settings
from customeros.runtime.stack.processes import environment
from support.waiting import until
from support.whole_stack import WholeStack

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()
_ARRIVAL_SECONDS = 60


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", _README, re.MULTILINE | re.DOTALL)


def _as_told(block: str, settings: Settings) -> str:
    """The block with this stack's ports and this installation's command."""
    for port, usual in (
        (settings.collector.port, 8700),
        (settings.api.port, 8800),
        (settings.clickhouse.port, 8123),
    ):
        block = block.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{port}")
    return block.replace(".venv/bin/customeros", f"{sys.executable} -m customeros.ops")


def _typed(block: str, stack: WholeStack, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _as_told(block, stack.settings)],
        cwd=folder,
        env={**os.environ, **environment(stack.settings), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_make_target_it_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z-]+)", _README)) <= targets


@pytest.mark.integration
def test_its_commands_send_an_event_and_find_the_customer(
    shared_stack: WholeStack, tmp_path: Path
) -> None:
    """Every block of commands but those that set up; curl, command line and SQL."""
    (tmp_path / ".customeros").symlink_to(shared_stack.settings.home)
    send, ask = (block for block in _blocks("bash") if "curl" in block)

    sent = _typed(send, shared_stack, tmp_path)
    assert (sent.returncode, sent.stdout) == (0, '{"success": true}'), sent.stderr
    until(
        lambda: "Identified" in _typed(ask, shared_stack, tmp_path).stdout,
        seconds=_ARRIVAL_SECONDS,
        every=0.5,
        what="the commands under Ask find what was sent",
    )

    asked = _typed(ask, shared_stack, tmp_path)
    assert asked.returncode == 0, asked.stderr
    shown, _, rest = asked.stdout.partition("{")
    assert "ada@example.com" in shown
    assert "Ada" in shown
    assert '"value":"ada@example.com"' in rest.replace(": ", ":")
    assert re.search(r"Identified\t\d+$", rest, re.MULTILINE)
    others = [b for b in _blocks("bash") if "curl" not in b]
    assert all(re.fullmatch(r"(git clone .*\n)?make [a-z]+\n", block) for block in others)
