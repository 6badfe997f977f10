"""Fixtures that every test may use; each server starts once, when the first test asks for it."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from support.mutations import MUTATIONS
from support.servers import embedded_clickhouse, embedded_kafka

pytest_plugins = ["support.tried"]

# No test is judged by its speed, and each run tries the same; `--hypothesis-profile exploring`
# tries others.
settings.register_profile("exploring", deadline=None)
settings.register_profile("customeros", deadline=None, derandomize=True)
settings.load_profile("customeros")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("identity")
    group.addoption(
        "--seed",
        default="20261122",
        help="of the generated histories of identity; `random`: another one each time, and told",
    )
    group.addoption(
        "--mutation",
        choices=[mutation.name for mutation in MUTATIONS],
        help="plant this mistake before the tests: those that fail are those that catch it",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--seed") == "random":
        config.option.seed = str(random.randrange(2**32))
    planted = [m for m in MUTATIONS if m.name == config.getoption("--mutation")]
    patch = pytest.MonkeyPatch()
    for mutation in planted:
        mutation.plant(patch)
    config.add_cleanup(patch.undo)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for servers come first, so that no process ends with one of them alone."""
    waiting = {item.path for item in items if item.get_closest_marker("integration")}
    items.sort(key=lambda item: item.path not in waiting)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """
    `host:port` of a real Kafka that the whole session shares; topics are not created by use.

    `CUSTOMEROS_TEST_KAFKA_BOOTSTRAP` names a running one; with `CUSTOMEROS_TEST_CONTAINERS=1` it is
    a container; otherwise the embedded broker, with a home of its own. Use `unique` in every name.
    """
    if given := os.environ.get("CUSTOMEROS_TEST_KAFKA_BOOTSTRAP"):
        yield given
    elif os.environ.get("CUSTOMEROS_TEST_CONTAINERS") == "1":
        from testcontainers.kafka import KafkaContainer

        with KafkaContainer("confluentinc/cp-kafka:8.2.0").with_kraft() as container:
            yield container.get_bootstrap_server()
    else:
        with embedded_kafka(tmp_path_factory.mktemp("kafka")) as (bootstrap, _pid):
            yield bootstrap


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """
    `http://host:port` of a real ClickHouse (user `default`, no password) that the session shares.

    `CUSTOMEROS_TEST_CLICKHOUSE_URL` names a running one; with `CUSTOMEROS_TEST_CONTAINERS=1` it is
    a container; otherwise the embedded engine. Use a database of your own: `clickhouse_database`.
    """
    if given := os.environ.get("CUSTOMEROS_TEST_CLICKHOUSE_URL"):
        yield given
    elif os.environ.get("CUSTOMEROS_TEST_CONTAINERS") == "1":
        from testcontainers.clickhouse import ClickHouseContainer

        with ClickHouseContainer(
            "clickhouse/clickhouse-server:26.9", username="default", password=""
        ) as container:
            yield f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
    else:
        with embedded_clickhouse(tmp_path_factory.mktemp("clickhouse")) as (url, _pid):
            yield url


@pytest.fixture
def unique() -> str:
    """A prefix that no other test uses, such as `t3f9a1c.`; it is a valid `kafka.topic_prefix`."""
    return f"t{uuid.uuid4().hex[:8]}."


@pytest.fixture
def clickhouse_database(clickhouse_url: str, unique: str) -> Iterator[str]:
    """The name of a fresh database in `clickhouse_url`, dropped afterwards."""
    import clickhouse_connect

    name = unique.rstrip(".")
    with clickhouse_connect.get_client(dsn=clickhouse_url) as client:
        client.command(f"CREATE DATABASE {name} ENGINE = Atomic")
        yield name
        client.command(f"DROP DATABASE {name} SYNC")
