"""Settings come from the environment; a wrong one is named with what it must be."""

from pathlib import Path

import pytest

from customeros.runtime.begun import begin_with, broker_folder
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


def test_an_embedded_broker_goes_on_with_the_partitions_that_it_began_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever later releases begin with; a home older than the file began with four."""
    monkeypatch.setenv("CUSTOMEROS_HOME", str(tmp_path))
    assert read_settings().kafka.partitions == 2

    broker_folder(tmp_path).mkdir(parents=True)
    assert read_settings().kafka.partitions == 4
    begin_with(tmp_path, 3)
    assert read_settings().kafka.partitions == 3
    monkeypatch.setenv("CUSTOMEROS_KAFKA__PARTITIONS", "5")
    assert read_settings().kafka.partitions == 5


def test_another_broker_has_four_partitions_whatever_the_home_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every machine has a home of its own, and all have to agree."""
    monkeypatch.setenv("CUSTOMEROS_HOME", str(tmp_path))
    monkeypatch.setenv("CUSTOMEROS_KAFKA__BOOTSTRAP", "broker:9092")
    begin_with(tmp_path, 3)

    assert read_settings().kafka.partitions == 4


def test_a_spoilt_number_of_partitions_is_named_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUSTOMEROS_HOME", str(tmp_path))
    (tmp_path / "partitions").write_text("two")

    with pytest.raises(Misconfigured, match="how many customer-state has"):
        read_settings()
