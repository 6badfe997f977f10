"""`customeros dead-letters`: what could not be processed, why, and trying it again."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from customeros.ops.dead_letter_log import Found, Replay, read_dead_letters
from customeros.ops.terminal import printable
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
    counted: Counter[str] = Counter()

    def matching() -> Iterator[Found]:
        for found in read_dead_letters(read_settings()):
            if reason in {None, found.letter.reason}:
                counted[found.letter.reason] += 1
                yield found

    newest = heapq.nlargest(limit, matching(), key=lambda f: (f.letter.failed_at, f.id))
    if as_json:
        for one in newest:
            typer.echo(msgspec.json.encode(_summary(one)).decode())
        return
    console = Console()
    if not newest:
        console.print("no dead letters" + (f" with reason {escape(reason)}" if reason else ""))
        return
    table = Table("id", "failed at (UTC)", "source", "reason", "why, and where", box=None)
    for column in table.columns[:2]:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.overflow = "fold"
    for one in newest:
        facts = {name: escape(printable(str(fact))) for name, fact in _summary(one).items()}
        place = f"[dim]{facts['stage']}, {facts['origin']}[/]"
        table.add_row(
            facts["id"],
            facts["failed_at"].removesuffix("+00:00"),
            facts["source"],
            facts["reason"],
            f"{facts['detail']}\n{place}" if facts["detail"] else place,
        )
    console.print(table)
    for name, count in counted.most_common():
        console.print(f"{count:>8} {escape(printable(name))}")
    if (rest := counted.total() - len(newest)) > 0:
        console.print(f"{rest:,} older ones are not shown: --limit, --reason")


@app.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """One dead letter with the record as it came."""
    one = _one(letter_id)
    body = one.letter.value.decode("utf-8", "backslashreplace")
    if as_json:
        typer.echo(msgspec.json.encode({**_summary(one), "value": body}).decode())
        return
    for name, fact in _summary(one).items():
        typer.echo(f"{name:>10}  {printable(str(fact))}")
    typer.echo(f"\n{printable(body, lines=True)}")


@app.command()
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="ID")] = None,
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
        raise _unknown(sorted(missing))
    again = Replay(settings, read_config(settings), read_secrets(settings))
    failed = 0
    for one in wanted:
        refusal = again.send(one)
        failed += refusal is not None
        typer.echo(f"{one.id}: {printable(f'refused: {refusal}') if refusal else 'sent again'}")
    again.close()
    typer.echo(f"{len(wanted) - failed} sent again, {failed} refused again")
    raise typer.Exit(1 if failed else 0)


def _one(letter_id: str) -> Found:
    for found in read_dead_letters(read_settings()):
        if found.id == letter_id:
            return found
    raise _unknown([letter_id])


def _unknown(letter_ids: list[str]) -> typer.Exit:
    names = ", ".join(letter_ids)
    typer.echo(f"customeros: there is no dead letter {names}: see `dead-letters list`", err=True)
    return typer.Exit(1)


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
