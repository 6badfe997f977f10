"""Settings come from the environment; a wrong one is named with what it must be."""

from pathlib import Path

import pytest

from customeros.runtime.errors import Misconfigured
from customeros.runtime.generation import put_in_force
from customeros.runtime.settings import read_settings


def test_nested_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOMEROS_KAFKA__PORT", "19092")
    monkeypatch.setenv("CUSTOMEROS_CLICKHOUSE__URL", "http://ch:8123")

    settings = read_settings()

    assert settings.bootstrap == "127.0.0.1:19092"
    assert settings.clickhouse_url == "http://ch:8123"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "CUSTOMEROS_KAFKA__PORT",
            "many",
            "CUSTOMEROS_KAFKA__PORT: Input should be a valid integer",
        ),
        ("CUSTOMEROS_KAFKA__PROT", "9092", "CUSTOMEROS_KAFKA__PROT: Extra inputs"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(Misconfigured, match=told):
        read_settings()


def test_a_password_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOMEROS_KAFKA__SASL_PASSWORD", "hunter2")

    settings = read_settings()

    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert settings.kafka_client["sasl.password"] == "hunter2"


def test_the_generation_is_the_one_in_force_in_the_home_unless_the_environment_says_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUSTOMEROS_HOME", str(tmp_path))
    assert read_settings().generation == 1

    put_in_force(tmp_path, 3)
    assert read_settings().generation == 3
    monkeypatch.setenv("CUSTOMEROS_GENERATION", "2")
    assert read_settings().generation == 2


def test_a_file_that_names_no_generation_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUSTOMEROS_HOME", str(tmp_path))
    (tmp_path / "generation").write_text("blue")

    with pytest.raises(Misconfigured, match="does not name a generation: write the number"):
        read_settings()
