"""Why somebody is one customer, and changing it by hand: asked of the API."""

from __future__ import annotations

import getpass
import urllib.parse
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from customeros.ops.ask import ask_api, print_json, refusals_told
from customeros.ops.digest import read_digest
from customeros.ops.terminal import printable
from customeros.runtime.settings import read_settings

app = typer.Typer(no_args_is_help=True, help="Evidence, conflicts, and changes by hand.")

Who = Annotated[str, typer.Argument(help="type:value, as email:ada@example.com, or a customer id.")]
Reason = Annotated[str, typer.Option("--why", help="Recorded with the change.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


def why(a: Who, b: Who, as_json: Json = False) -> None:
    """Why two are one customer: each piece of evidence; or what keeps them apart."""
    found = _ask(f"why?{urllib.parse.urlencode({'a': a, 'b': b})}")
    if as_json:
        print_json(found)
        return
    say = Console(soft_wrap=True).print
    if found["together"]:
        say(f"[bold]one customer[/bold], by {len(found['path'])} pieces of evidence")
        for step in found["path"]:
            say(_shown(f"  {step['a']} \u2014 {step['b']}: {step['text']} ({_proof(step)})"))
        return
    say("[bold]not one customer[/bold]")
    for one in found["apart"]:
        say(_shown(f"  {one['reason']}: {one['text']}"))
        if one.get("evidence"):
            step = one["evidence"]
            say(_shown(f"    refused: {step['a']} \u2014 {step['b']}: {step['text']}"))
        say(_shown(f"    what would join them: {one['remedy']}"))


def split(
    customer: Who,
    identifiers: Annotated[list[str], typer.Argument(help="Those that are somebody else.")],
    reason: Reason,
) -> None:
    """Take identifiers out of a customer, with all that is theirs; `undo` takes it back."""
    order = {"customer": customer, "identifiers": identifiers, "why": reason}
    change("split", order)


def join(a: Who, b: Who, reason: Reason) -> None:
    """Make two customers one; `undo` takes it back."""
    change("join", {"a": a, "b": b, "why": reason})


def undo(change_id: Annotated[str, typer.Argument(metavar="CHANGE_ID")]) -> None:
    """Take a split or a join back; `identity changes` lists them."""
    change("undo", {"change_id": change_id})


@app.command("digest")
def show_digest() -> None:
    """
    One hash over who is who and what is known, alone on the last line.

    Equal for equal sets of events, whatever their order, repetition or partitions: it proves a
    migration, a replay or a restore. Ask when every stage's lag is 0.
    """
    found = read_digest(read_settings())
    typer.echo(f"{found.customers:,} customers, {found.moved:,} identifiers that joined another")
    typer.echo(found.value)


@app.command()
def evidence(who: Who, as_json: Json = False) -> None:
    """Everything that holds one customer together, and what was refused."""
    found = _ask(f"customers/{urllib.parse.quote(who, safe=':@')}/evidence")
    if as_json:
        print_json(found)
        return
    rows = [
        (step["a"], step["b"], str(step["strength"]), step["text"], step["refused"] or "joined")
        for step in found["evidence"]
    ]
    _table(("a", "b", "strength", "evidence", ""), rows, "no evidence: a single identifier")


@app.command()
def conflicts(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """Evidence that joined nobody, newest first, and what would resolve it."""
    found = _ask(f"identity/conflicts?limit={limit}")
    if as_json:
        print_json(found)
        return
    rows = [
        (one["at"][:16], one["a"], one["b"] or "", one["text"], one["remedy"])
        for one in found["conflicts"]
    ]
    _table(("at", "a", "b", "why not", "what would resolve it"), rows, "no conflicts")
    if found["total"] > len(rows):
        Console().print(f"and {found['total'] - len(rows)} older")


@app.command()
def changes(as_json: Json = False) -> None:
    """What people changed, newest first, its fate, and the ids that `undo` takes."""
    found = _ask("identity/changes")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["change_id"],
            one["made_at"][:16],
            f"{', '.join(one['left'])} | {', '.join(one['right'])}",
            one["by"],
            one["why"],
            _fate(one),
        )
        for one in found["changes"]
    ]
    _table(("id", "at", "identifiers", "by", "why", ""), rows, "no changes by hand")


def _fate(one: dict[str, Any]) -> str:
    match one["fate"]:
        case "undone":
            return f"undone by {one['undone_by']}"
        case "refused":
            return f"joins nobody: {one['in_the_way']}"
        case "overruled":
            return "overruled by a later word or an erasure"
        case _:
            return "in force"


def change(what: str, order: dict[str, Any]) -> None:
    """Have *what* done, and print the id that `undo` takes."""
    found = _ask(f"identity/{what}", {**order, "by": getpass.getuser()})
    typer.echo(found["change_id"])
    if not found["effective"]:
        typer.echo("customeros: recorded; the graph worker has not taken it yet", err=True)


def _ask(path: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
    with refusals_told():
        return ask_api(read_settings(), path, order)


def _proof(step: dict[str, Any]) -> str:
    named = step["change_id"] or step["event_id"]
    return f"{step['rule']}, strength {step['strength']}, {named}, {step['occurred_at'][:16]}"


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], nothing: str) -> None:
    if not rows:
        Console().print(nothing)
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_shown(cell) for cell in row))
    Console().print(table)


def _shown(text: str) -> str:
    return escape(printable(text))
