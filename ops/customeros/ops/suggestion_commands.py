"""Which customers may be one person though no evidence joins them; a person decides."""

from __future__ import annotations

import time
import urllib.parse
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from customeros.ops.ask import NotYet, ask_api, print_json, refusals_told
from customeros.ops.identity_commands import Json, Reason, Who, change
from customeros.ops.state_tables import many
from customeros.ops.terminal import printable
from customeros.runtime.settings import Settings, read_settings

_LOOK_SECONDS: Final = 0.2


def register(identity: typer.Typer) -> None:
    """Put the commands under the command *identity*."""
    identity.command("suggestions")(show_suggestions)
    identity.command()(accept)
    identity.command()(refuse)


def show_suggestions(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the surest first.")] = 50,
    after: Annotated[str, typer.Option(help="The `next` of an earlier answer.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Compare all customers anew.")] = False,
    as_json: Json = False,
) -> None:
    """
    Customers that may be one person, the surest first, and why.

    Nothing is changed: `identity accept A B --why TEXT` makes them one, `identity refuse` keeps
    them apart and is not suggested again; `undo` takes either back.
    """
    asked = {"limit": str(limit), **({"after": after} if after else {})}
    if fresh:
        asked["as_of"] = datetime.now(UTC).isoformat()
    found = _compared(read_settings(), asked)
    if as_json:
        print_json(found)
        return
    for one in found["suggestions"]:
        a, b = one["a"], one["b"]
        sure = "sure" if one["first"] else "maybe"
        typer.echo(f"{a['customer_id']} {b['customer_id']}  {sure} {one['probability']:.3f}")
        for side in (a, b):
            known = ", ".join(side["identifiers"])
            orders = many(side["orders"], "order")
            typer.echo(printable(f"  {side['name'] or '?'}: {known}, {orders}"))
        typer.echo(printable(f"  {'; '.join(one['reasons'])}"))
        if one["forbidden"]:
            typer.echo(printable(f"  cannot be accepted: {one['forbidden']['text']}"))
    if not found["suggestions"]:
        typer.echo("no suggestions")
    typer.echo(f"of {found['customers']:,} customers as of {found['as_of']}", err=True)
    if found["next"]:
        typer.echo(f"more: --after {found['next']}", err=True)


def accept(a: Who, b: Who, reason: Reason) -> None:
    """Make two customers one, as `join` does; `undo` takes it back."""
    change("suggestions/accept", {"a": a, "b": b, "why": reason})


def refuse(a: Who, b: Who, reason: Reason) -> None:
    """Keep two customers apart, also from evidence to come; `undo` takes it back."""
    change("suggestions/refuse", {"a": a, "b": b, "why": reason})


def _compared(settings: Settings, asked: dict[str, str]) -> dict[str, Any]:
    """The answer; customers that are being compared are waited for, however many there are."""
    path = f"identity/suggestions?{urllib.parse.urlencode(asked)}"
    while True:
        try:
            with refusals_told():
                return ask_api(settings, path)
        except NotYet:
            time.sleep(_LOOK_SECONDS)  # the API keeps no request waiting that long
