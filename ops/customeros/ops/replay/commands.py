"""`customeros replay`: identity and state built anew from the log, compared, and switched to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from customeros.ops.lag import READS, stage_lags
from customeros.ops.replay.building import Stopped, with_workers
from customeros.ops.replay.decisions import hand_over
from customeros.ops.replay.generations import alone, drop, generations, missed, missed_sentence
from customeros.ops.replay.settling import Unsettled, settle
from customeros.ops.replay.switching import switch
from customeros.ops.replay.telling import Teller, beginning
from customeros.ops.spans import patiently
from customeros.ops.stages import STAGES
from customeros.runtime.ending import EXIT_UNAVAILABLE
from customeros.runtime.errors import Misconfigured
from customeros.runtime.generation import in_force
from customeros.runtime.settings import Settings, read_settings
from customeros.runtime.topics import ensure_topics
from customeros.schemas.topics import all_topics

_DIFFERENT: Final = 1

app = typer.Typer()

Partial = Annotated[bool, typer.Option("--partial", help="With what is left of the log.")]
First = Annotated[int, typer.Option(min=0, help="Differences to list, of each kind.")]
Patience = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="Without progress, then it is given up.")
]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
Generation = Annotated[int, typer.Argument(min=1, metavar="GENERATION")]


@app.callback(invoke_without_command=True)
def replay(
    context: typer.Context,
    *,
    and_switch: Annotated[
        bool, typer.Option("--switch", help="If both are equal, switch.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="With --switch: also if they differ.")
    ] = False,
    partial: Partial = False,
    patience: Patience = 120,
    first: First = 20,
    as_json: Json = False,
) -> None:
    """
    Build the next generation beside the running one, compare both, and switch if asked to.

    Interrupted, it goes on where it was. Exit code 0: equal; 1: they differ, and but for --anyway
    the running one stays; 75: not comparable now, try again.
    """
    if context.invoked_subcommand is not None:
        return
    running = read_settings()
    with alone(running), _told():
        there = generations(running)
        number = max((*there, running.build))
        rebuilt = running.of(number if number > running.build else number + 1)
        say = Teller(for_scripts=as_json)
        say(beginning(rebuilt.build, new=rebuilt.build not in there))
        _prepare(running, rebuilt, partial=partial)
        found = with_workers(
            rebuilt,
            lambda wait: settle(running, rebuilt, patience=patience, show=say.progress, wait=wait),
        )
        say.result(found, running.build, rebuilt.build, first=first)
        if and_switch and (found.equal or anyway):
            say(_switched(running, rebuilt))
        elif found.equal:
            say("to put it in force: customeros replay --switch")
        else:
            say(f"generation {running.build} stays in force")
    raise typer.Exit(0 if found.equal else _DIFFERENT)


@app.command()
def status(as_json: Json = False) -> None:
    """The generations, how far behind each is, and whether the log would do for a rebuild."""
    settings = read_settings()
    there = generations(settings)
    gone = missed(settings.of(max((*there, settings.build)) + 1))
    lags = {number: stage_lags(settings.of(number)) for number in there}
    if as_json:
        known = [
            {"generation": number, "in_force": number == settings.build, "lag": lag}
            for number, lag in lags.items()
        ]
        typer.echo(json.dumps({"generations": known, "events_gone_from_log": gone}))
        return
    table = Table("generation", "", *(f"{stage} behind" for stage in READS))
    for number, lag in lags.items():
        state = "in force" if number == settings.build else "beside"
        table.add_row(str(number), state, *(f"{left:,}" for left in lag.values()))
    Console().print(table)
    typer.echo(
        f"{gone:,} events are gone from the log: a rebuild would not know them"
        if gone
        else "the log reaches back to its beginning"
    )


@app.command()
def seed(generation: Generation, partial: Partial = False) -> None:
    """Make a generation's topics and hand it what people decided; its workers you run yourself."""
    running = read_settings()
    with alone(running):
        _prepare(running, running.of(generation), partial=partial)
    typer.echo(
        f"generation {generation} is ready to be built: run its workers and its sink with "
        f"CUSTOMEROS_GENERATION={generation}"
    )


@app.command()
def compare(
    generation: Generation, patience: Patience = 120, first: First = 20, as_json: Json = False
) -> None:
    """Wait until a generation whose workers you run has caught up; exit 0: equal, 1: not."""
    running = read_settings()
    rebuilt = _known(running, generation)
    say = Teller(for_scripts=as_json)
    with alone(running), _told():
        found = settle(running, rebuilt, patience=patience, show=say.progress, wait=time.sleep)
    say.result(found, running.build, rebuilt.build, first=first)
    raise typer.Exit(0 if found.equal else _DIFFERENT)


@app.command("switch")
def switch_to(generation: Generation, partial: Partial = False) -> None:
    """Put a generation in force, whatever it holds: the way back too."""
    running = read_settings()
    to = _known(running, generation)
    with alone(running):
        if not partial and (count := missed(to)):
            raise Misconfigured(missed_sentence(to, count))
        typer.echo(_switched(running, to))


@app.command("drop")
def drop_generation(
    generation: Generation,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a generation that is not in force: topics, groups, tables and local state."""
    settings = read_settings()
    with alone(settings):
        if generation in {settings.build, in_force(settings.home)}:
            raise Misconfigured(f"generation {generation} is in force: switch to another first")
        if not yes:
            typer.confirm(f"delete generation {generation} for good?", abort=True)
        drop(settings.of(generation))
    typer.echo(f"generation {generation} is gone")


def _prepare(running: Settings, rebuilt: Settings, *, partial: bool) -> None:
    if rebuilt.build == running.build:
        raise Misconfigured(f"generation {rebuilt.build} is in force: build another beside it")
    if not partial and (count := missed(rebuilt)):
        raise Misconfigured(missed_sentence(rebuilt, count))
    ensure_topics(rebuilt, all_topics(STAGES))
    patiently(lambda: hand_over(running, rebuilt))


def _known(running: Settings, generation: int) -> Settings:
    there = generations(running)
    if generation not in there:
        raise typer.BadParameter(
            f"there is no generation {generation}: {', '.join(map(str, there))}"
        )
    return running.of(generation)


def _switched(running: Settings, to: Settings) -> str:
    others = [n for n in generations(to) if n != to.build]
    # Of one and the same: what an interrupted switch may have left is with the others.
    givers = [running] if running.build != to.build else [to.of(n) for n in others]
    replaced = switch(givers, to)
    told = [f"generation {to.build} is in force"]
    if not replaced:
        told = [
            f"generation {to.build} is to be in force: run workers, sink and API with "
            f"CUSTOMEROS_GENERATION={to.build}, then this command again"
        ]
    if others:
        back = running.build if running.build != to.build else others[-1]
        told.append(f"back: customeros replay switch {back}")
        told.append(f"when it is not needed any more: customeros replay drop {back}")
    return "\n".join(told)


@contextmanager
def _told() -> Iterator[None]:
    """Endings that are no mistake of the operator, in one sentence."""
    try:
        yield
    except (Stopped, Unsettled) as error:
        typer.echo(f"customeros: {error}", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None
