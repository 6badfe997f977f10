"""The `customeros` command as its user meets it: exit code, what it says, and on which stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from customeros.ops.cli import main
from support.commands import Command, Done


@pytest.fixture
def customeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in this process, as a process takes a second to start."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, env: Mapping[str, str] | None = None, columns: int = 160) -> Done:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("CUSTOMEROS_")]:
                patch.delenv(name)
            patch.setenv("COLUMNS", str(columns))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["customeros", *arguments])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run
