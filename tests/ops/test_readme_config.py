"""The configuration that the README shows is accepted, and the commands that it lists are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.commands import Command

_README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_configuration_it_shows_is_right(customeros: Command, tmp_path: Path) -> None:
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", _README, re.MULTILINE | re.DOTALL)
    (tmp_path / "customeros.toml").write_text(toml)

    done = customeros("check", env={"WEB_WRITE_KEY": "a-key"})

    assert done.code == 0, done.err
    assert "workspace default: sources web, till" in done.out


@pytest.mark.parametrize("row", re.findall(r"^\| (`customeros .*?) \|", _README, re.MULTILINE))
def test_the_commands_it_lists_are_there(customeros: Command, row: str) -> None:
    """Written after each other, with what follows `customeros` or the group left out."""
    group: list[str] = []
    for number, written in enumerate(re.findall(r"`([^`]+)`", row)):
        words = [word for word in written.split() if re.fullmatch("[a-z-]+", word)]
        words = words[1:] if words[0] == "customeros" else words
        if number == 0 or written.startswith("customeros"):
            group = words[:1] if len(words) > 1 else []
        for path in (words, [*group, *words]):
            done = customeros(*path, "--help")
            if done.code == 0:
                break
        assert done.code == 0, (written, done.err)


def test_the_variables_it_names_are_settings(customeros: Command) -> None:
    names = set(re.findall(r"`(CUSTOMEROS_[A-Z_]+)`", _README))
    values = {name: "1000" for name in names}
    values |= {"CUSTOMEROS_HOME": "here", "CUSTOMEROS_KAFKA__BOOTSTRAP": "127.0.0.1:1"}
    values["CUSTOMEROS_CLICKHOUSE__URL"] = "http://127.0.0.1:1"

    assert len(names) >= 6
    assert customeros("check", env=values).code == 0
