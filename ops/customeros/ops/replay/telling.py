"""How a rebuild goes and ends, for people and scripts; never a trait or an identifier."""

from __future__ import annotations

import json
from collections.abc import Iterator

import typer

from customeros.ops.replay.comparing import Comparison, Differences
from customeros.ops.replay.settling import Progress
from customeros.ops.terminal import printable


class Teller:
    """Says how it goes; of scripts (*for_scripts*) only the result, as JSON."""

    def __init__(self, *, for_scripts: bool) -> None:
        self._for_scripts = for_scripts
        self._said = ""

    def __call__(self, text: str) -> None:
        """Say *text*."""
        if not self._for_scripts:
            typer.echo(text)

    def progress(self, made: Progress) -> None:
        """A line, unless it is the last one again."""
        behind = ", ".join(f"{stage} {left:,}" for stage, left in made.lags.items())
        line = f"{made.folded:,} events folded; still to read: {behind}"
        if line != self._said:
            self(f"{line}; {made.per_second:,.0f} events/s")
        self._said = line

    def result(self, found: Comparison, running: int, rebuilt: int, *, first: int) -> None:
        """Whether both are equal, and where not, the *first* names of each kind."""
        if self._for_scripts:
            typer.echo(json.dumps(_facts(found, running, rebuilt, first)))
            return
        for line in _lines(found, running, rebuilt, first):
            typer.echo(line)


def beginning(rebuilt: int, *, new: bool) -> str:
    """What is going to be done."""
    if new:
        return f"building generation {rebuilt} from the log"
    return (
        f"going on with generation {rebuilt}, which is there already "
        f"(to begin anew: customeros replay drop {rebuilt})"
    )


def _lines(found: Comparison, running: int, rebuilt: int, first: int) -> Iterator[str]:
    yield f"generation {running}: {found.running.customers:,} customers, {found.running.value}"
    yield f"generation {rebuilt}: {found.rebuilt.customers:,} customers, {found.rebuilt.value}"
    if found.equal:
        yield "equal"
        return
    yield "they differ"
    for kind, part in _kinds(found):
        for what, names in (
            (f"only in generation {running}", part.only_running),
            (f"only in generation {rebuilt}", part.only_rebuilt),
            ("in both, but different", part.other),
        ):
            if names:
                yield f"{len(names):,} {kind} {what}"
                yield from (f"  {printable(name.replace('|', ' ', 1))}" for name in names[:first])
                if len(names) > first:
                    yield f"  and {len(names) - first:,} more (--first)"


def _facts(found: Comparison, running: int, rebuilt: int, first: int) -> dict[str, object]:
    return {
        "equal": found.equal,
        "running": {"generation": running, **found.running._asdict()},
        "rebuilt": {"generation": rebuilt, **found.rebuilt._asdict()},
        **{
            kind: {
                name: {"count": len(names), "first": list(names[:first])}
                for name, names in part._asdict().items()
            }
            for kind, part in _kinds(found)
        },
    }


def _kinds(found: Comparison) -> list[tuple[str, Differences]]:
    return [
        ("customers", found.customers),
        ("identifiers", found.identifiers),
        ("accounts", found.accounts),
    ]
