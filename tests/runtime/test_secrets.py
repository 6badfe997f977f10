"""Secrets are generated once, kept for their owner alone, and given ones win."""

import stat
from pathlib import Path

import pytest

from customeros.runtime.errors import Misconfigured
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Secrets as Given
from customeros.runtime.settings import Settings


def test_secrets_are_the_same_at_every_start(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    first, second = read_secrets(settings), read_secrets(settings)

    assert first == second
    assert first.workspace_key("a") != first.workspace_key("b")


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    read_secrets(Settings(home=tmp_path))

    for name in ("credentials.json", "secrets/master.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_what_the_environment_gives_wins(tmp_path: Path) -> None:
    given = Given.model_validate({"master_key": "m", "write_key": "w", "api_token": "t"})

    found = read_secrets(Settings(home=tmp_path, secrets=given))

    assert found == (b"m", "w", "t")
    assert not (tmp_path / "secrets" / "master.key").exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("[")

    with pytest.raises(Misconfigured, match=r"credentials\.json is not a JSON object"):
        read_secrets(Settings(home=tmp_path))


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Misconfigured, match="CUSTOMEROS_HOME"):
        read_secrets(Settings(home=tmp_path / "file" / "home"))
