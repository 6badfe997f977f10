"""What is kept of measurements? `docs/benchmarks/NAME.json`, and what is made of these files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import ROOT
from benchmarks.measurement import Measurement
from benchmarks.plots import Plot, series_of, svg
from benchmarks.report import Figure, Section, markdown, text_of

FOLDER: Final = ROOT / "docs" / "benchmarks"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
_MEASURED: Final = re.compile(r"<!-- measured: ([a-z-]+) -->\n(?:.*?\n)??<!-- /measured -->", re.S)


class Kept(msgspec.Struct, frozen=True):
    """The sections of one measurement; `measured` says of what, where, how and when."""

    measured: Mapping[str, Figure]
    sections: Sequence[Section]


def write_kept(folder: Path, name: str, kept: Kept) -> None:
    """Write `NAME.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    as_objects = {"measured": kept.measured, "sections": [s._asdict() for s in kept.sections]}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(as_objects), indent=1) + b"\n")


def read_kept(folder: Path, measurements: Iterable[Measurement]) -> dict[str, Kept]:
    """Those of *measurements* that are there, by name."""
    files = {each.name: folder / f"{each.name}.json" for each in measurements}
    return {name: _read(file) for name, file in files.items() if file.exists()}


def pictures(kept: Mapping[str, Kept], measurements: Iterable[Measurement]) -> dict[str, str]:
    """Every plot of what is kept: file name to SVG."""
    return {
        f"{plot.name}.svg": svg(plot, section.rows)
        for plot, section in _plotted(kept, measurements)
    }


def document(text: str, kept: Mapping[str, Kept], measurements: Iterable[Measurement]) -> str:
    """
    *text* with every `<!-- measured: NAME -->` filled; what was never measured stays as it is.

    Raises:
        KeyError: something is kept that the document has no place for.
    """
    plots: dict[str, list[str]] = {}
    for plot, section in _plotted(kept, measurements):
        picture = f"![{plot.question}](benchmarks/{plot.name}.svg)"
        plots.setdefault(section.title, []).append(picture)
    placed = set()

    def filled(found: re.Match[str]) -> str:
        name = found[1]
        if name not in kept:
            return found[0]
        placed.add(name)
        parts = [
            part
            for section in kept[name].sections
            for part in (markdown(section), *plots.get(section.title, ()))
        ]
        told = "\n\n".join((*parts, _origin(kept[name].measured)))
        return f"<!-- measured: {name} -->\n\n{told}\n\n<!-- /measured -->"

    made = _MEASURED.sub(filled, text)
    if missing := kept.keys() - placed:
        raise KeyError(f"no <!-- measured: NAME --> for {', '.join(sorted(missing))}")
    return made


def _plotted(
    kept: Mapping[str, Kept], measurements: Iterable[Measurement]
) -> Iterator[tuple[Plot, Section]]:
    """What there is to draw: a measurement of which all failed has tables alone."""
    for each in measurements:
        if each.name in kept:
            sections = {section.title: section for section in kept[each.name].sections}
            for plot in each.plots:
                if series_of(plot, sections[plot.section].rows):
                    yield plot, sections[plot.section]


def _origin(measured: Mapping[str, Figure]) -> str:
    memory = float(measured["memory_mb"]) / 1024
    return (
        f"`{measured['command']}`, commit {measured['commit']}, {str(measured['date'])[:10]}, "
        f"{measured['cpus']} cores of {measured['model']}, {memory:.0f} GB, "
        f"Python {measured['python']}, load before {text_of(measured['load_1m'])}"
        f"{_pace(measured)}"
    )


def _pace(measured: Mapping[str, Figure]) -> str:
    if "alone_us" not in measured:
        return ""
    return (
        f", JSON of 2 kB there and back in {text_of(measured['alone_us'])} µs alone and "
        f"{text_of(measured['together_us'])} µs on all cores at once"
    )


def _read(file: Path) -> Kept:
    found = msgspec.json.decode(file.read_bytes())
    return Kept(found["measured"], [Section(**section) for section in found["sections"]])
