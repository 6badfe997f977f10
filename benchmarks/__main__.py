"""`python -m benchmarks`: run, print, keep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from benchmarks.catalogue import MEASUREMENTS
from benchmarks.engine.engines import ENGINES
from benchmarks.kept import DOCUMENT, FOLDER, Kept, document, pictures, read_kept, write_kept
from benchmarks.machine import facts
from benchmarks.measurement import Measurement, Sizes
from benchmarks.report import markdown

_BY_NAME: Final = {each.name: each for each in MEASUREMENTS}

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help=f"all, report, {', '.join(_BY_NAME)}"),
    ] = None,
    *,
    events: Annotated[int | None, typer.Option(help="Of each run.", min=100)] = None,
    seconds: Annotated[float | None, typer.Option(help="Of each load.", min=1)] = None,
    identifiers: Annotated[int | None, typer.Option(help="Of a workspace.", min=100)] = None,
    customers: Annotated[int | None, typer.Option(help="Of a workspace.", min=100)] = None,
    rate: Annotated[
        float | None, typer.Option(help="Sustainable events/s; else found first.", min=1)
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Of the engines: " + ", ".join(engine.name for engine in ENGINES)),
    ] = None,
    runs: Annotated[int, typer.Option(help="Of each measurement; medians are told.", min=1)] = 1,
    quick: Annotated[bool, typer.Option(help="Sizes too small to mean anything.")] = False,
    keep: Annotated[bool, typer.Option(help="Write NAME.json, plots and tables.")] = False,
    folder: Annotated[Path, typer.Option(help="Where --keep writes.")] = FOLDER,
) -> None:
    """Measure what an event costs; see docs/benchmarks.md."""
    names = names or ["all"]
    if unknown := set(only or ()) - {engine.name for engine in ENGINES}:
        raise typer.BadParameter(f"no such engine: {', '.join(unknown)}", param_hint="--only")
    if unknown := set(names) - {"all", "report", *_BY_NAME}:
        raise typer.BadParameter(f"no such measurement: {', '.join(unknown)}", param_hint="NAME")
    sizes: dict[str, Any] = {
        name: value
        for name, value in (
            ("events", events),
            ("seconds", seconds),
            ("identifiers", identifiers),
            ("customers", customers),
            ("rate", rate),
            ("only", tuple(only) if only else None),
        )
        if value is not None
    }
    wanted = [
        name
        for name, each in _BY_NAME.items()
        if name in names or ("all" in names and not each.apart)
    ]
    if len(wanted) > 1:
        _one_by_one(wanted, names)
    for name in wanted:
        measurement = _BY_NAME[name]
        given = (measurement.quick if quick else measurement.usual)._replace(**sizes)
        _measure(measurement, given, runs=runs, into=folder if keep else None)
    if keep or "report" in names:
        report(folder)


def _one_by_one(wanted: list[str], names: list[str]) -> None:
    """
    Each in a process of its own: one that fails loses no other, and all begin alike.

    Raises:
        SystemExit: always; not 0 if one failed.
    """
    options = [argument for argument in sys.argv[1:] if argument not in names]
    failed = []
    for name in wanted:
        with subprocess.Popen([sys.executable, "-m", "benchmarks", name, *options]) as child:
            try:
                code = child.wait()
            finally:
                # It ends its own servers, as when it is told to end itself.
                child.terminate()
        if code:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    sys.exit()


def _measure(measurement: Measurement, sizes: Sizes, *, runs: int, into: Path | None) -> None:
    measured = facts()
    sections = measurement.medians(sizes, runs=runs)
    for section in sections:
        print(f"\n{markdown(section)}")
    print("\n" + ", ".join(f"{name} {value}" for name, value in measured.items()), flush=True)
    if into:
        write_kept(into, measurement.name, Kept(measured, sections))


def report(folder: Path) -> None:
    """Make the plots, and for what is kept in the documentation its tables, anew."""
    kept = read_kept(folder, MEASUREMENTS)
    for name, picture in pictures(kept, MEASUREMENTS).items():
        (folder / name).write_text(picture)
    if folder == FOLDER:
        DOCUMENT.write_text(document(DOCUMENT.read_text(), kept, MEASUREMENTS))


if __name__ == "__main__":
    # What is measured here is this checkout with its defaults, whatever the shell exports.
    for name in [name for name in os.environ if name.startswith("CUSTOMEROS_")]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    app()
