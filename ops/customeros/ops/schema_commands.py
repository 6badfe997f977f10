"""`customeros schemas`: the contracts of the public topics, and putting them into a registry."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import read_settings
from customeros.schemas.codec import released_schemas

app = typer.Typer(no_args_is_help=True, help="The schemas of the public topics.")


@app.command("list")
def list_schemas() -> None:
    """Every released schema, with the id that its records carry."""
    table = Table("id", "name", "version")
    for schema in released_schemas().values():
        table.add_row(str(schema.id), schema.name, str(schema.version))
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name, or a schema's id.")],
) -> None:
    """The newest definition of a schema, as Avro JSON."""
    found = [s for s in released_schemas().values() if name in {s.name, str(s.id)}]
    if not found:
        names = sorted({schema.name for schema in released_schemas().values()})
        raise typer.BadParameter(f"there is no schema {name}: {', '.join(names)}")
    newest = max(found, key=lambda schema: schema.version)
    typer.echo(json.dumps(newest.definition, indent=1))


@app.command()
def register() -> None:
    """Put every schema into the registry at CUSTOMEROS_REGISTRY__URL, under its own id."""
    from customeros.serving.registry import register_schemas

    settings = read_settings()
    url = settings.registry.url
    if url is None:
        raise Misconfigured("set CUSTOMEROS_REGISTRY__URL to the registry's address")
    register_schemas(url, topic_prefix=settings.kafka.topic_prefix, generation=settings.build)
    typer.echo("the registry has all schemas")
