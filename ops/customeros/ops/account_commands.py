"""`customeros account`: what is known of one organisation, asked of the API."""

from __future__ import annotations

import urllib.parse
from typing import Annotated

import typer
from rich.console import Console

from customeros.ops.account_view import account_view
from customeros.ops.ask import ask_api, print_json, refusals_told
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
    with refusals_told():
        found = ask_api(read_settings(), f"accounts/{urllib.parse.quote(account_id, safe='')}")
    if as_json:
        print_json(found)
    else:
        Console().print(account_view(found))
