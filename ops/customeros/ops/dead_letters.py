"""`customeros dead-letters`: what could not be processed, why, and trying it again."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from customeros.ops.dead_letter_log import Found, Replay, read_dead_letters
from customeros.runtime.config import read_config
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import read_settings

app = typer.Typer(no_args_is_help=True, help="Records that could not be processed.")

Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]


@app.command("list")
def list_letters(
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """The newest dead letters, and how many there are by reason."""
    found = [f for f in read_dead_letters(read_settings()) if reason in {None, f.letter.reason}]
    newest = sorted(found, key=lambda f: (f.letter.failed_at, f.id), reverse=True)[:limit]
    if as_json:
        for one in newest:
            typer.echo(msgspec.json.encode(_summary(one)).decode())
        return
    console = Console()
    if not found:
        console.print("no dead letters" + (f" with reason {reason}" if reason else ""))
        return
    table = Table("id", "failed at", "stage", "source", "reason", "detail", "origin")
    for one in newest:
        facts = _summary(one)
        table.add_row(*(str(facts[name]) for name in facts))
    console.print(table)
    for name, count in Counter(f.letter.reason for f in found).most_common():
        console.print(f"{count:>8} {name}")


@app.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """One dead letter with the record as it came."""
    one = _one(letter_id)
    body = one.letter.value.decode("utf-8", "backslashreplace")
    if as_json:
        typer.echo(msgspec.json.encode({**_summary(one), "value": body}).decode())
        return
    for name, fact in _summary(one).items():
        typer.echo(f"{name:>10}  {fact}")
    typer.echo(f"\n{body}")


@app.command()
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    reason: Reason = None,
) -> None:
    """
    Send records again to where they came from, after what was wrong has been mended.

    What has been processed meanwhile is recognised by its event id and counts once.
    """
    if not letter_ids and not every and reason is None:
        raise typer.BadParameter("name some ids, or --reason REASON, or --all")
    settings = read_settings()
    wanted = [
        f
        for f in read_dead_letters(settings)
        if (not letter_ids or f.id in letter_ids) and reason in {None, f.letter.reason}
    ]
    missing = set(letter_ids or ()) - {f.id for f in wanted}
    if missing:
        raise typer.BadParameter(f"no such dead letter: {', '.join(sorted(missing))}")
    again = Replay(settings, read_config(settings), read_secrets(settings))
    failed = 0
    for one in wanted:
        refusal = again.send(one)
        failed += refusal is not None
        typer.echo(f"{one.id}: {refusal or 'sent again'}")
    again.close()
    typer.echo(f"{len(wanted) - failed} sent again, {failed} refused again")
    raise typer.Exit(1 if failed else 0)


def _one(letter_id: str) -> Found:
    for found in read_dead_letters(read_settings()):
        if found.id == letter_id:
            return found
    raise typer.BadParameter(f"there is no dead letter {letter_id}: see `dead-letters list`")


def _summary(found: Found) -> dict[str, Any]:
    letter = found.letter
    origin = letter.origin
    where = (
        "request" if origin.topic is None else f"{origin.topic}:{origin.partition}:{origin.offset}"
    )
    return {
        "id": found.id,
        "failed_at": datetime.fromtimestamp(letter.failed_at / 1000, UTC).isoformat(" ", "seconds"),
        "stage": letter.stage,
        "source": f"{letter.workspace}/{letter.source}",
        "reason": letter.reason,
        "detail": letter.detail,
        "origin": where,
    }
