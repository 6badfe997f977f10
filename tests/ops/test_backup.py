"""A backup restored is the same installation; what is not whole is refused, nothing changed."""

from __future__ import annotations

import json
from pathlib import Path

import clickhouse_connect
import pytest
from typer.testing import CliRunner

from customeros.ops.backup import back_up, restore
from customeros.ops.cli import app
from customeros.ops.digest import COMPARED, Digest, read_digest
from customeros.ops.spans import patiently
from customeros.runtime.begun import begin_with, begun_with
from customeros.runtime.clients import producer
from customeros.runtime.errors import Misconfigured
from customeros.runtime.generation import in_force, put_in_force
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Kafka, Settings
from customeros.runtime.stack.runfile import take_home
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.customer import CustomerState
from customeros.schemas.identity import Assignment
from customeros.schemas.topics import ASSIGNMENTS
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from support.servers import embedded_clickhouse, embedded_kafka


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """As a stopped stack leaves it."""
    settings = Settings(home=tmp_path / "home")
    read_secrets(settings)
    for name in ("kafka/data/log", "clickhouse/data/table", "state/graph", "logs/up.log"):
        path = settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    put_in_force(settings.home, 2)
    begin_with(settings.home, 3)
    return settings


def test_a_restored_home_is_the_same_installation(home: Settings, tmp_path: Path) -> None:
    """Without what is made again: logs and local stores."""
    other = Settings(home=tmp_path / "other")

    size = back_up(home, tmp_path / "kept")
    assert restore(other, tmp_path / "kept") == size > 0

    assert read_secrets(other) == read_secrets(home)
    assert in_force(other.home) == 2
    assert begun_with(other.home) == 3
    assert (other.home / "clickhouse/data/table").read_text() == "clickhouse/data/table"
    assert not {"state", "logs"} & {path.name for path in other.home.iterdir()}
    for secret in (tmp_path / "kept", other.home / "secrets", other.home / "secrets/master.key"):
        assert secret.stat().st_mode & 0o077 == 0


def test_a_running_stack_is_not_copied(home: Settings, tmp_path: Path) -> None:
    """Its files would not fit together."""
    lock = take_home(home.home)
    assert lock is not None
    with lock, pytest.raises(Misconfigured, match="stop it with `customeros down` first"):
        back_up(home, tmp_path / "kept")

    assert not (tmp_path / "kept").exists()


def test_nothing_is_written_over(home: Settings, tmp_path: Path) -> None:
    back_up(home, tmp_path / "kept")

    with pytest.raises(Misconfigured, match="is there already: name a new folder"):
        back_up(home, tmp_path / "kept")
    with pytest.raises(Misconfigured, match="holds kafka/data already"):
        restore(home, tmp_path / "kept")


@pytest.mark.parametrize("harm", ["changed", "lost", "added"])
def test_a_backup_that_is_not_as_it_was_made_is_not_restored(
    home: Settings, tmp_path: Path, harm: str
) -> None:
    back_up(home, tmp_path / "kept")
    victim = tmp_path / "kept" / "kafka" / "data" / ("more" if harm == "added" else "log")
    if harm == "lost":
        victim.unlink()
    else:
        victim.write_text("other")

    with pytest.raises(Misconfigured, match=r"1 files differ, first kafka/data/(log|more)"):
        restore(Settings(home=tmp_path / "other"), tmp_path / "kept")

    assert not (tmp_path / "other" / "kafka").exists()


def test_what_is_no_backup_is_told(home: Settings, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="is no backup"):
        restore(Settings(home=tmp_path / "other"), tmp_path)
    (tmp_path / "backup.json").write_text(json.dumps({"form": 0}))
    with pytest.raises(Misconfigured, match="made by another version"):
        restore(Settings(home=tmp_path / "other"), tmp_path)
    elsewhere = home.model_copy(update={"kafka": Kafka(bootstrap="broker:9092")})
    with pytest.raises(Misconfigured, match="holds no embedded Kafka"):
        back_up(elsewhere, tmp_path / "kept")


@pytest.mark.integration
def test_real_servers_say_the_same_after_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest, the tables, and both take more."""
    first, second = (Settings(home=tmp_path / name) for name in ("first", "second"))
    with embedded_kafka(first.home) as (bootstrap, _), embedded_clickhouse(first.home) as (url, _):
        before = _known(first, bootstrap)
        with clickhouse_connect.get_client(dsn=url) as client:
            client.command("CREATE DATABASE customeros ENGINE = Atomic")
            client.command("CREATE TABLE customeros.t (a Int64) ENGINE = MergeTree ORDER BY a")
            client.command("INSERT INTO customeros.t VALUES (7)")

    for command, at in (("backup", first), ("restore", second)):
        monkeypatch.setenv("CUSTOMEROS_HOME", str(at.home))
        done = CliRunner().invoke(app, [command, str(tmp_path / "kept")])
        assert done.exit_code == 0, done.output

    with (
        embedded_kafka(second.home) as (bootstrap, _),
        embedded_clickhouse(second.home) as (url, _),
    ):
        kafka = Kafka(bootstrap=bootstrap, partitions=1)
        settings = second.model_copy(update={"kafka": kafka})
        assert patiently(lambda: read_digest(settings)) == before
        assert _known(second, bootstrap, customer="c-eve").customers == 2
        with clickhouse_connect.get_client(dsn=url) as client:
            client.command("INSERT INTO customeros.t VALUES (8)")
            rows = client.query("SELECT a FROM customeros.t ORDER BY a").result_rows
            assert [tuple(row) for row in rows] == [(7,), (8,)]


def _known(home: Settings, bootstrap: str, customer: str = "c-ada") -> Digest:
    """The digest after one customer and one identifier more."""
    settings = home.model_copy(update={"kafka": Kafka(bootstrap=bootstrap, partitions=1)})
    ensure_topics(settings, COMPARED)
    state = CustomerState(workspace="shop", customer_id=customer, version=1, digest="d")
    moved = Assignment(
        workspace="shop",
        key=f"k-{customer}",
        type="email",
        customer_id=customer,
        version=1,
        epoch=0,
        cause="e",
    )
    sending = producer(settings)
    for topic, key, value in (
        (CUSTOMER_STATE_TOPIC, customer, CUSTOMER_STATE.encode(state)),
        (ASSIGNMENTS, moved.key, ASSIGNMENT.encode(moved)),
    ):
        sending.produce(prefixed(settings, topic), value, f"shop/{key}".encode())
    assert sending.flush(60) == 0
    return patiently(lambda: read_digest(settings))
