"""The `customeros` command."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from customeros.ops.later import commands_of
from customeros.ops.stages import STAGES
from customeros.ops.variables import unknown_variables
from customeros.runtime.config import read_config
from customeros.runtime.ending import EXIT_MISCONFIGURED, EXIT_UNAVAILABLE
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.logs import configure_logs
from customeros.runtime.settings import Settings, read_settings
from customeros.runtime.topics import ensure_topics
from customeros.runtime.waiting import once_available
from customeros.schemas.topics import all_topics

app = typer.Typer(
    # A worker is a command as well, and needs none of what the others import.
    cls=commands_of(
        {
            "customer": "customeros.ops.ask:app",
            "account": "customeros.ops.account_commands:app",
            "dead-letters": "customeros.ops.dead_letters:app",
            "topics": "customeros.ops.topic_commands:app",
            "schemas": "customeros.ops.schema_commands:app",
            "replay": "customeros.ops.replay.commands:app",
            "identity": "customeros.ops.identity:app",
            "why": "customeros.ops.identity_commands:why",
            "split": "customeros.ops.identity_commands:split",
            "join": "customeros.ops.identity_commands:join",
            "undo": "customeros.ops.identity_commands:undo",
        }
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Run and operate customerOS: one live state per customer, on Kafka and ClickHouse.",
)

Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
CreateTopics = Annotated[bool, typer.Option(help="First create the topics that are missing.")]


def main() -> None:
    """Run the command; a mistake of the operator ends in one sentence, not in a traceback."""
    # Our sentence says what does not answer; the clients need not say it as well. A process that
    # serves replaces this by logs of its own.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app()
    except Misconfigured as error:
        typer.echo(f"customeros: {error}", err=True)
        sys.exit(EXIT_MISCONFIGURED)
    except Unavailable as error:
        typer.echo(
            f"customeros: {error.dependency} does not answer: `customeros status` shows what runs",
            err=True,
        )
        sys.exit(EXIT_UNAVAILABLE)


@app.command()
def up(
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when all is ready, leave it running.")
    ] = False,
) -> None:
    """Run everything: Kafka, ClickHouse, collector, workers, sink and API."""
    from customeros.ops.laptop import up as run

    raise typer.Exit(run(read_settings(), detach=detach))


@app.command()
def down() -> None:
    """Stop what `up` runs, in the right order. The data stays."""
    from customeros.runtime.stack.supervisor import down as stop

    raise typer.Exit(stop(read_settings()))


@app.command()
def status(
    wait: Annotated[
        float, typer.Option(help="Seconds to wait until all is ready.", min=0, metavar="SECONDS")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Each process, the lag of each stage, the freshness; exit 0 only when all is ready."""
    from customeros.ops.status import show_status

    raise typer.Exit(show_status(read_settings(), wait_seconds=wait, as_json=as_json))


@app.command()
def backup(folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
    """Copy what the stopped embedded stack keeps, secrets included, into a folder."""
    from customeros.ops.backup import back_up

    size = back_up(read_settings(), folder)
    typer.echo(
        f"{folder}: {size / 1e6:,.1f} MB; it holds the secrets as well, keep it as you do those"
    )


@app.command()
def restore(folder: Annotated[Path, typer.Argument(help="What `backup` made.")]) -> None:
    """Make an empty home what a backup was made of; `up` then goes on from there."""
    from customeros.ops.backup import restore as make

    settings = read_settings()
    size = make(settings, folder)
    typer.echo(f"{settings.home.absolute()}: {size / 1e6:,.1f} MB; start it with `customeros up`")


@app.command()
def demo(
    examples: Annotated[str, typer.Option(help="The folder with the example data.")] = "examples",
) -> None:
    """Send real customers' events the whole way in a stack of its own, and check the result."""
    from customeros.ops.demo.run import run_demo

    raise typer.Exit(run_demo(read_settings(), examples))


@app.command()
def check() -> None:
    """Check the configuration; each mistake is told with its line and its remedy."""
    settings = read_settings()
    if strangers := unknown_variables(os.environ):
        raise Misconfigured("\n".join(strangers))
    config = read_config(settings)
    for workspace in config.workspaces.values():
        sources = ", ".join(workspace.sources)
        typer.echo(f"workspace {workspace.name}: sources {sources}")
    typer.echo("the configuration is right")


@app.command()
def kafka() -> None:
    """Run the embedded Kafka alone."""
    from customeros.runtime.stack.kafka import run_kafka

    run_kafka(_process("kafka"))


@app.command()
def clickhouse() -> None:
    """Run the embedded ClickHouse engine alone."""
    from customeros.runtime.stack.clickhouse.server import run_clickhouse

    raise typer.Exit(run_clickhouse(_process("clickhouse")))


@app.command()
def collector(create_topics: CreateTopics = False) -> None:
    """Run the collector: the tracking API over HTTP."""
    from customeros.connectors.collector import run_collector

    raise typer.Exit(run_collector(_process("collector", create_topics=create_topics)))


@app.command()
def worker(
    stage: Annotated[str, typer.Argument(help=f"One of {', '.join(STAGES)}.")],
    create_topics: CreateTopics = False,
) -> None:
    """Run one Faust worker."""
    if stage not in STAGES:
        raise typer.BadParameter(f"there is no stage {stage}: {', '.join(STAGES)}")
    from customeros.runtime.stream.worker import run_worker

    settings = _process(stage, create_topics=create_topics)
    raise typer.Exit(run_worker(STAGES[stage](read_config(settings), settings), settings))


@app.command()
def sink(
    name: Annotated[str, typer.Argument(help="clickhouse")],
    create_topics: CreateTopics = False,
) -> None:
    """Run a sink."""
    if name != "clickhouse":
        raise typer.BadParameter(f"there is no sink {name}: clickhouse")
    from customeros.sinks.clickhouse import run_sink

    raise typer.Exit(run_sink(_process("sink-clickhouse", create_topics=create_topics)))


@app.command()
def api(create_topics: CreateTopics = False) -> None:
    """Run the API: customers, their events, the schema registry."""
    from customeros.serving import run_api

    raise typer.Exit(run_api(_process("api", create_topics=create_topics)))


def _process(name: str, *, create_topics: bool = False) -> Settings:
    settings = read_settings()
    configure_logs(settings.logs, process=name)
    if create_topics:
        # A process that starts while the broker is away waits like any other.
        once_available(lambda: ensure_topics(settings, all_topics(STAGES)))
    return settings
