"""`customeros topics`: what there is, and making it."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from customeros.ops.stages import STAGES
from customeros.runtime.settings import read_settings
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import all_topics

app = typer.Typer(no_args_is_help=True, help="The topics of the platform.")


@app.command("list")
def list_topics() -> None:
    """Every topic: its key, how it is cleaned up, the schema of its values."""
    settings = read_settings()
    table = Table("topic", "key", "cleanup", "days", "value", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for topic in all_topics(STAGES):
        days = "" if topic.retention_ms is None else f"{topic.retention_ms / 86_400_000:g}"
        table.add_row(
            prefixed(settings, topic),
            topic.key,
            topic.cleanup,
            days,
            f"Avro {topic.schema}" if topic.schema else "internal",
        )
    Console().print(table)


@app.command()
def create() -> None:
    """Create the topics that are missing; calling twice is harmless."""
    ensure_topics(read_settings(), all_topics(STAGES))
    typer.echo("all topics are there")
