"""Rules of identity: what others would change, making them hold, and which held."""

from __future__ import annotations

import getpass
import json
import urllib.parse
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from customeros.ops.ask import NotKnown, ask_api, print_json
from customeros.ops.identity_commands import Json, Reason
from customeros.ops.terminal import printable
from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import read_settings

EXIT_CHANGES: Final = 1
EXIT_REFUSED: Final = 2
# A million identifiers take about a minute of a core.
_COMPARING_SECONDS: Final = 1_800.0
_MISTAKES_IN_FILE: Final = frozenset({"malformed_rules", "other_workspace"})

File = Annotated[
    Path,
    typer.Option("--rules", metavar="FILE", help="customeros.toml as it would be, or its rules."),
]
Workspace = Annotated[str, typer.Option(help="Which, where there are several.", metavar="NAME")]
First = Annotated[int, typer.Option(min=0, max=1000, help="How many of each kind to name.")]


class Change(StrEnum):
    """What `what-if --fail-on` may name."""

    JOIN = "join"
    SPLIT = "split"
    CONSENT = "consent"
    ANY = "any"
    NONE = "none"


FailOn = Annotated[
    list[Change] | None, typer.Option(help="End with 1 if that would happen; may be repeated.")
]


def register(identity: typer.Typer) -> None:
    """Put the commands under the command *identity*."""
    identity.command("what-if")(what_if)
    identity.command()(adopt)
    identity.command()(rules)


def what_if(
    file: File,
    workspace: Workspace = "",
    first: First = 20,
    fail_on: FailOn = None,
    as_json: Json = False,
) -> None:
    """
    What other rules would change, over all stored evidence; nothing is changed.

    Ends with 0; with 1 if something would change that --fail-on names; with 78 where FILE has
    mistakes, and with 2 where the question is refused for another reason.
    """
    found = _ask("what-if", workspace, {**_proposal(file), "first": first})
    if as_json:
        print_json(found)
    else:
        _show(found)
    if any(happens(found, change) for change in fail_on or ()):
        raise typer.Exit(EXIT_CHANGES)


def adopt(
    file: File,
    reason: Reason,
    workspace: Workspace = "",
    first: First = 5,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """
    Make other rules hold, for stored evidence and what comes; first shows what that changes.

    Ends with 2 where they are refused, or not wanted: nothing was changed then.
    """
    proposal = _proposal(file)
    found = _ask("what-if", workspace, {**proposal, "first": first})
    if not found["differences"]:
        _refuse("nothing to adopt: these are the rules in force")
    _show(found)
    if not (yes or typer.confirm("adopt these rules?")):
        _refuse("nothing was changed")
    order = {**proposal, "why": reason, "by": getpass.getuser(), "after": found["version"]}
    made = _ask("rules", workspace, order)
    typer.echo(f"version {made['version']} is {'in force' if made['effective'] else 'recorded'}")
    if not made["effective"]:
        typer.echo("customeros: the graph worker has not taken it yet", err=True)


def rules(
    workspace: Workspace = "",
    show: Annotated[
        int | None, typer.Option(metavar="VERSION", help="One of them as customeros.toml says it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rules that were adopted, newest first: by whom, when, why, and what they changed."""
    if show is None:
        found = _ask("rules", workspace)
        told = "\n".join(_adopted(found["rules"]))
    else:
        found = _ask("rules", workspace, version=show)
        told = found["toml"].rstrip()
    if as_json:
        print_json(found)
    else:
        typer.echo(told)


def happens(found: dict[str, Any], change: Change) -> bool:
    """Whether the answer of a what-if has a change of this kind."""
    named = {
        Change.JOIN: ("joins",),
        Change.SPLIT: ("splits",),
        Change.CONSENT: ("consent",),
        Change.ANY: ("joins", "splits"),
        Change.NONE: (),
    }
    return any(found[kind]["total"] > 0 for kind in named[change])


def lines_of(found: dict[str, Any]) -> Iterator[str]:
    """The answer of a what-if for people."""
    yield f"{found['workspace']}: {found['identifiers']:,} identifiers with evidence"
    yield from (f"  {_difference(one)}" for one in found["differences"])
    if not found["differences"]:
        yield "  these are the rules in force"
    joins, splits, consent = found["joins"], found["splits"], found["consent"]
    yield f"would join: {joins['customers']:,} customers, to {joins['total']:,}"
    for one in joins["first"]:
        yield f"  {' + '.join(one['customers'])}: {_identifiers(one)}"
        yield from _because(one)
    yield f"would split: {splits['total']:,} customers"
    for one in splits["first"]:
        yield f"  {one['customer']}: {' | '.join(map(_identifiers, one['parts']))}"
        yield from _because(one)
    purposes = "".join(f", {name} {count:,}" for name, count in consent["purposes"].items())
    yield f"consent would narrow: {consent['total']:,}{purposes}"
    for one in consent["first"]:
        sure = "" if one["certain"] else ", if the part that joins is the one that refuses"
        yield f"  {one['customer']}: {one['purpose']}, refused by {', '.join(one['because'])}{sure}"
    lone = found["quarantine"]
    yield f"quarantine: {lone['added']:,} more, {lone['released']:,} released"
    if lone["unjudged"]:
        yield f"  {lone['unjudged']:,} stay there: not all of their evidence was kept"
    yield f"blocked: {found['blocked']:,} more"
    if found["behind"]:
        yield f"behind: {found['behind']:,} identifiers still follow evidence; ask again"


def _proposal(file: Path) -> dict[str, Any]:
    try:
        return {"toml": file.read_text(), "file": file.name}
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{file} is no text") from None


def _adopted(versions: list[dict[str, Any]]) -> Iterator[str]:
    if not versions:
        yield "none were adopted: those of customeros.toml hold"
    for one in versions:
        yield printable(f"{one['version']}  {one['made_at'][:16]}  {one['by']}  {one['why']}")
        yield from (printable(f"     {_difference(change)}") for change in one["differences"])


def _ask(
    what: str, workspace: str, order: dict[str, Any] | None = None, *, version: int | None = None
) -> dict[str, Any]:
    said = {"workspace": workspace or None, "version": version}
    asked = {name: value for name, value in said.items() if value is not None}
    path = f"identity/{what}?{urllib.parse.urlencode(asked)}"
    try:
        return ask_api(read_settings(), path, order, seconds=_COMPARING_SECONDS)
    except NotKnown as error:
        if error.code in _MISTAKES_IN_FILE:
            raise Misconfigured(str(error)) from None
        _refuse(str(error))


def _refuse(why: str) -> NoReturn:
    typer.echo(f"customeros: {why}", err=True)
    raise typer.Exit(EXIT_REFUSED)


def _show(found: dict[str, Any]) -> None:
    for line in lines_of(found):
        typer.echo(printable(line))


def _because(one: dict[str, Any]) -> Iterator[str]:
    for reason in one["reasons"]:
        yield f"    {reason['a']} \u2014 {reason['b']}: {reason['text']}"


def _identifiers(one: dict[str, Any]) -> str:
    more = one["total"] - len(one["identifiers"])
    return ", ".join(one["identifiers"]) + (f" and {more:,} more" if more else "")


def _difference(one: dict[str, Any]) -> str:
    return f"{one['rule']}: {_value(one['now'])} \u2192 {_value(one['then'])}"


def _value(value: Any) -> str:
    return "(not said)" if value is None else json.dumps(value, ensure_ascii=False)
