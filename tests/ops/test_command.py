"""The command's answers to what people get wrong: one sentence, the remedy, the right exit code."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from customeros.ops import cli
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.schemas.codec import released_schemas
from support.commands import Command
from support.ports import free_port
from support.registry import FakeRegistry, served

_MISUSED, _UNAVAILABLE, _MISCONFIGURED = 2, 75, 78


@contextmanager
def _a_taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("statsu",), "Did you mean 'status'?"),
        (("dead-letters", "lits"), "Did you mean 'list'?"),
        (("worker", "resolver"), "there is no stage resolver: resolve, graph, state"),
        (("sink", "postgres"), "there is no sink postgres: clickhouse"),
        (("schemas", "show", "evnt"), "there is no schema evnt: account_state,"),
        (("dead-letters", "replay"), "name some ids, or --reason REASON, or --all"),
        (("status", "--wiat", "5"), "--wait"),
        (("customer", "show"), "Missing argument"),
    ],
)
def test_a_misused_command_says_what_would_be_right(
    customeros: Command, arguments: tuple[str, ...], told: str
) -> None:
    done = customeros(*arguments)

    assert done.code == _MISUSED
    assert told in done.err
    assert not done.out


def test_every_command_has_help_and_the_overview_names_it(customeros: Command) -> None:
    overview = customeros("--help").out

    for name in ("up", "down", "status", "check", "customer", "dead-letters", "topics", "schemas"):
        assert f" {name} " in overview


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            '[workspaces.default]\ndefault_curency = "EUR"\n[workspaces.default.sources.web]\n',
            "customeros.toml:2: workspaces.default.default_curency is unknown; "
            "did you mean default_currency?",
        ),
        (
            '[workspaces.default.sources.web]\nwrite_key = "env:WEB_WRITE_KEY"\n',
            "customeros.toml:2: the environment variable WEB_WRITE_KEY is not set",
        ),
        (
            '[workspaces.default.sources.web]\nwrite_key = "s3cret"\n',
            'customeros.toml:2: secrets do not belong here: write "env:NAME" or "file:PATH"',
        ),
        ("[workspaces.default\n", "customeros.toml: not valid TOML"),
        ("[workspaces.default]\n", "workspaces.default.sources"),
    ],
)
@pytest.mark.parametrize("arguments", [("check",), ("up", "--detach")])
def test_a_mistake_in_the_configuration_is_told_with_line_and_remedy(
    customeros: Command, tmp_path: Path, arguments: tuple[str, ...], toml: str, told: str
) -> None:
    (tmp_path / "customeros.toml").write_text(toml)

    done = customeros(*arguments)

    assert done.code == _MISCONFIGURED
    assert told in done.err
    assert "s3cret" not in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"CUSTOMEROS_KAFKA__PORT": "many"}, "CUSTOMEROS_KAFKA__PORT: Input should be a valid int"),
        (
            {"CUSTOMEROS_KAFKAA__PORT": "1"},
            "CUSTOMEROS_KAFKAA__PORT is no setting; did you mean CUSTOMEROS_KAFKA__PORT?",
        ),
        ({"CUSTOMEROS_CONFIG": "nowhere.toml"}, "CUSTOMEROS_CONFIG=nowhere.toml: there is no such"),
        ({"CUSTOMEROS_HOME": "/proc/nowhere"}, "name a folder that this user may write"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    customeros: Command, env: dict[str, str], told: str
) -> None:
    done = customeros("check", env=env)

    assert done.code == _MISCONFIGURED
    assert told in done.err


def test_a_right_configuration_is_summed_up(customeros: Command, tmp_path: Path) -> None:
    (tmp_path / "customeros.toml").write_text(
        "[workspaces.shop.sources.web]\n[workspaces.shop.sources.till]\n"
    )

    done = customeros("check")

    assert done.code == 0
    assert done.out.splitlines() == [
        "workspace shop: sources web, till",
        "the configuration is right",
    ]


def test_a_taken_port_is_told_with_its_holder_and_its_setting(customeros: Command) -> None:
    """And nothing has been started."""
    with _a_taken_port() as port:
        done = customeros("up", "--detach", env={"CUSTOMEROS_COLLECTOR__PORT": str(port)})

    assert done.code == _MISCONFIGURED
    assert f"Port {port} is taken by " in done.err
    assert "set CUSTOMEROS_COLLECTOR__PORT to another port" in done.err
    assert customeros("status").code == 1


def test_a_first_start_without_network_says_what_is_missing_and_starts_nothing(
    customeros: Command, tmp_path: Path
) -> None:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    env = {name: "http://127.0.0.1:9" for upper in names for name in (upper, upper.lower())}
    env |= {"NO_PROXY": "", "no_proxy": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}

    done = customeros("up", "--detach", env=env)

    assert done.code == _MISCONFIGURED
    assert "The embedded Kafka needs " in done.err
    assert "or set CUSTOMEROS_KAFKA__BOOTSTRAP to a Kafka of your own" in done.err
    assert "Traceback" not in done.err
    assert "nothing runs" in customeros("status").out


def test_where_nothing_runs_status_says_how_to_start_it(customeros: Command) -> None:
    done = customeros("status")
    facts = json.loads(customeros("status", "--json").out)

    assert done.code == 1
    assert "start it with `customeros up`" in done.out
    assert facts == {
        "ready": False,
        "running": False,
        "pid": None,
        "generation": 1,
        "processes": [],
        "lag": None,
        "freshness_seconds": None,
    }


@pytest.mark.parametrize("home", ["there", "/proc/nowhere"])
def test_down_is_harmless_where_nothing_runs(customeros: Command, home: str) -> None:
    for _ in range(2):
        done = customeros("down", env={"CUSTOMEROS_HOME": home})
        assert done.code == 0
        assert "Nothing runs in " in done.out


@pytest.mark.parametrize(
    ("arguments", "dependency"),
    [
        (("customer", "show", "email:ada@example.com"), "the API at 127.0.0.1:"),
        (("dead-letters", "list"), "kafka"),
    ],
)
def test_what_does_not_answer_is_named_in_one_line(
    customeros: Command,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    dependency: str,
) -> None:
    """The clients' own words about it stay out."""
    monkeypatch.setattr("customeros.ops.dead_letter_log._ANSWER_SECONDS", 0.5)
    away = str(free_port())
    env = {"CUSTOMEROS_KAFKA__PORT": away, "CUSTOMEROS_API__PORT": away}

    done = customeros(*arguments, env=env)

    assert done.code == _UNAVAILABLE
    (line,) = done.err.splitlines()
    assert line.startswith(f"customeros: {dependency}")
    assert line.endswith("does not answer: `customeros status` shows what runs")


def test_the_lists_are_whole_at_80_columns(customeros: Command) -> None:
    """No name is cut off, however narrow the terminal."""
    topics = customeros("topics", "list", columns=80)
    schemas = customeros("schemas", "list", columns=80)

    for name in ("events.conversational", "identity.assignments", "profile.contributions"):
        assert name in topics.out
    assert "…" not in topics.out
    for schema in released_schemas().values():
        assert f"{schema.id}" in schemas.out
        assert schema.name in schemas.out


@pytest.mark.parametrize("name", ["customer_state", "7001"])
def test_a_schema_is_shown_by_name_or_id(customeros: Command, name: str) -> None:
    shown = json.loads(customeros("schemas", "show", name).out)

    assert shown["type"] == "record"


def test_registering_the_schemas_twice_changes_nothing_the_second_time(customeros: Command) -> None:
    registry = FakeRegistry()
    with served(registry) as url:
        env = {"CUSTOMEROS_REGISTRY__URL": url}
        first = customeros("schemas", "register", env=env)
        subjects = dict(registry.subjects)
        second = customeros("schemas", "register", env=env)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "customer-state-value" in subjects
    assert registry.subjects == subjects


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1"])
def test_registering_without_a_registry_says_so(customeros: Command, url: str | None) -> None:
    env = {} if url is None else {"CUSTOMEROS_REGISTRY__URL": url}

    done = customeros("schemas", "register", env=env)

    assert done.code == (_MISCONFIGURED if url is None else _UNAVAILABLE)
    assert len(done.err.splitlines()) == 1


def test_a_process_whose_broker_is_away_waits_for_it_before_it_creates_topics(
    customeros: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not end and start again and again, as all would after a broker's `kill -9`."""
    away = Unavailable("kafka", retry_after=0.0)
    answers = [away, away, Misconfigured("the topics are there, and others")]

    def ensure_topics(*_: object) -> None:
        raise answers.pop(0)

    monkeypatch.setattr(cli, "ensure_topics", ensure_topics)
    monkeypatch.setattr(cli, "configure_logs", lambda *_, **__: None)

    done = customeros("worker", "graph", "--create-topics")

    assert "the topics are there, and others" in done.err
    assert not answers


@pytest.mark.parametrize(
    ("process", "others"),
    [
        ("ops.cli", "aiokafka clickhouse_connect faust numpy pyarrow"),
        ("runtime.stream.worker", "clickhouse_connect numpy pyarrow starlette uvicorn"),
        ("connectors.collector", "clickhouse_connect faust numpy pyarrow starlette"),
        ("serving.run", "aiokafka faust numpy pyarrow"),
        ("sinks.clickhouse", "aiokafka faust starlette uvicorn"),
    ],
)
def test_a_process_is_a_command_that_loads_nothing_of_the_others(process: str, others: str) -> None:
    """Each module costs every process of a machine its memory, and every start its time."""
    code = f"import sys, customeros.ops.cli, customeros.{process}; print(*sys.modules)"

    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()

    assert f"customeros.{process}" in loaded
    assert set(others.split()).isdisjoint(loaded)
