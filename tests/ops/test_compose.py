"""docker-compose.yml: valid, private, pinned, and every command in it exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from customeros.ops.cli import app
from customeros.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"].startswith("customeros:")}


def test_it_is_what_the_compose_specification_allows() -> None:
    """Checked with the specification's own schema; `x-` fields are anchors and carry no meaning."""
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())

    jsonschema.Draft7Validator(schema).validate(COMPOSE)


@pytest.mark.parametrize("name", SERVICES)
def test_ports_listen_on_the_loopback_interface_only(name: str) -> None:
    """Nothing is open to the network unless somebody decides it."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_no_two_services_want_the_same_port() -> None:
    published = [port.split(":")[1] for s in SERVICES.values() for port in s.get("ports", [])]

    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    """A start next year is the same start."""
    tag = SERVICES[name]["image"].rpartition(":")[2]

    assert re.search(r"\d", tag)
    assert "latest" not in tag


def test_no_secret_stands_in_the_file() -> None:
    """Passwords come from the environment, and without them nothing starts."""
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|_KEY", variable):
                assert re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", value)


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    """Also its arguments, as far as they can be told without running it."""
    command: Any = get_command(app)
    for word in OURS[name]["command"]:
        if not hasattr(command, "get_command"):
            assert command.params
            continue
        command = command.get_command(None, word)
        assert command is not None


def test_every_process_of_the_platform_is_there() -> None:
    """Each of the architecture's processes, and the two jobs that prepare the ground."""
    commands = {" ".join(service["command"]) for service in OURS.values()}

    assert commands == {
        "collector",
        "worker resolve",
        "worker graph",
        "worker state",
        "sink clickhouse",
        "api",
        "topics create",
        "schemas register",
    }


def test_every_variable_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt one would be refused at the first start; here already."""
    for service in OURS.values():
        for variable, value in service["environment"].items():
            monkeypatch.setenv(variable, value)

    settings = Settings()

    assert settings.bootstrap == "kafka:9092"
    assert settings.clickhouse_url == "http://clickhouse:8123"
    assert (settings.metrics.host, settings.metrics.port) == ("0.0.0.0", 9100)  # noqa: S104


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_waited_for_can_come_true(name: str) -> None:
    """Healthy needs a health check, completed a job that ends."""
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        match condition["condition"]:
            case "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]
            case "service_completed_successfully":
                assert SERVICES[other]["restart"] == "on-failure"
            case unexpected:
                pytest.fail(unexpected)


def test_volumes_and_mounted_files_are_there() -> None:
    """Named volumes are declared, and used; what is mounted from here exists."""
    sources = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}

    named = {source for source in sources if not source.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    assert all((ROOT / source).exists() for source in sources - named)
