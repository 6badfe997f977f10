"""Everything on one machine: which processes `customeros up` keeps, and what it prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

import typer

from customeros.ops.stages import STAGES
from customeros.runtime.config import Config, read_config
from customeros.runtime.errors import Misconfigured
from customeros.runtime.generation import in_force
from customeros.runtime.secrets import CREDENTIALS_FILE, read_secrets
from customeros.runtime.settings import GENERATION_VARIABLE, LOOPBACK, Settings
from customeros.runtime.stack import supervisor
from customeros.runtime.stack.jars import kafka_classpath
from customeros.runtime.stack.ports import free_port, ports_of
from customeros.runtime.stack.processes import (
    Spec,
    embedded_specs,
    environment,
    shared_environment,
)
from customeros.runtime.topics import prefixed
from customeros.schemas.topics import CUSTOMER_STATE

# A worker drains its partitions when told to stop; after that the next start catches up.
_WORKER_STOP_SECONDS: Final = 20.0


def specs(settings: Settings) -> tuple[Spec, ...]:
    """Every process of the platform, the embedded servers first."""
    servers = embedded_specs(settings)
    kafka = tuple(spec.name for spec in servers if spec.name == "kafka")
    both = tuple(spec.name for spec in servers)
    collector, api = settings.collector, settings.api
    return (
        *servers,
        Spec(
            name="collector",
            argv=_command("collector"),
            env=shared_environment(settings),
            ready=f"http://{collector.host}:{collector.port}/readyz",
            after=kafka,
            port=collector.port,
            port_setting="CUSTOMEROS_COLLECTOR__PORT",
        ),
        *workers(settings, after=kafka, sink_after=both),
        Spec(
            name="api",
            argv=_command("api"),
            env=environment(settings),
            ready=f"http://{api.host}:{api.port}/readyz",
            after=both,
            port=api.port,
            port_setting="CUSTOMEROS_API__PORT",
        ),
    )


def workers(
    settings: Settings, *, after: tuple[str, ...] = (), sink_after: tuple[str, ...] = ()
) -> tuple[Spec, ...]:
    """What makes one generation: every stage, and the sink."""
    env, named = environment(settings), ports_of(settings)
    return (
        *(
            _measured(stage, ("worker", stage), env, free_port(named), after=after)
            for stage in STAGES
        ),
        _measured(
            "sink-clickhouse", ("sink", "clickhouse"), env, free_port(named), after=sink_after
        ),
    )


def up(settings: Settings, *, detach: bool) -> int:
    """
    Keep everything up; detached, return when all is ready and say where it is.

    What is of a generation is replaced as soon as another is in force in this home.

    Raises:
        Misconfigured: the configuration has a mistake, a port is taken, or what the embedded
            Kafka needs is not here and cannot be fetched.
    """
    config = read_config(settings)
    if settings.kafka.bootstrap is None:
        # Here rather than in its process, whose output nobody sees: the first time, it takes a
        # while and shows how far it is.
        kafka_classpath()
    if not detach:
        typer.echo(places(settings, config))
    code = supervisor.up(settings, specs(settings), detach=detach, renewed=_following(settings))
    if detach and code == 0:
        typer.echo(places(settings, config))
    return code


def _following(settings: Settings) -> Callable[[], tuple[Spec, ...] | None]:
    """The specs of the generation that has come into force since the last call; None: none has."""
    if GENERATION_VARIABLE in os.environ:
        return lambda: None
    kept = settings.build

    def renewed() -> tuple[Spec, ...] | None:
        nonlocal kept
        try:
            found = in_force(settings.home)
        except Misconfigured:
            return None
        if found == kept:
            return None
        kept = found
        return specs(settings.of(found))

    return renewed


def places(settings: Settings, config: Config) -> str:
    """Where to send, ask and query, and with which credentials."""
    secrets = read_secrets(settings)
    collector, api = settings.collector, settings.api
    keys = "\n".join(
        f"          write key {key} of {source.workspace}/{source.name}"
        for workspace in config.workspaces.values()
        for source in workspace.sources.values()
        for key in source.write_keys
    )
    return f"""
  send    http://{collector.host}:{collector.port}/v1/batch
{keys}
  ask     http://{api.host}:{api.port}/v1/customers/email:ada@example.com
          Authorization: Bearer {secrets.api_token}
  query   {settings.clickhouse_url}/?database={settings.clickhouse.database}
  read    {settings.bootstrap}, topic {prefixed(settings, CUSTOMER_STATE)}, \
schemas at http://{api.host}:{api.port}/registry
  home    {settings.home.absolute()} (keys in {CREDENTIALS_FILE}, logs in logs/)
"""


def _measured(
    name: str, arguments: tuple[str, ...], env: dict[str, str], port: int, *, after: tuple[str, ...]
) -> Spec:
    """A process without an HTTP port of its own: it says how it is where it serves its metrics."""
    return Spec(
        name=name,
        argv=_command(*arguments),
        env={**env, "CUSTOMEROS_METRICS__PORT": str(port)},
        ready=f"http://{LOOPBACK}:{port}/readyz",
        after=after,
        stop_seconds=_WORKER_STOP_SECONDS,
    )


def _command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "customeros.ops", *arguments, "--create-topics")
