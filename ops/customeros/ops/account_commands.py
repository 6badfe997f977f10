"""`customeros account`: what is known of one organisation, asked of the API."""

from __future__ import annotations

import json
import urllib.parse
from typing import Annotated

import typer
from rich.console import Console

from customeros.ops.account_view import account_view
from customeros.ops.ask import NotKnown, ask_api
from customeros.runtime.settings import read_settings

app = typer.Typer(no_args_is_help=True, help="One organisation, all round.")


@app.callback()
def account() -> None:
    """One organisation, all round."""


@app.command()
def show(
    account_id: Annotated[str, typer.Argument(metavar="ID", help="As its source calls it.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Members, traits with source and time, money, orders, timeline, parent, subsidiaries."""
    try:
        path = f"accounts/{urllib.parse.quote(account_id, safe='')}"
        found = ask_api(read_settings(), path)
    except NotKnown as error:
        typer.echo(f"customeros: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        Console().print(account_view(found))
