"""What is printed and kept: rows of named figures, the median of several runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

Figure = str | int | float
Row = Mapping[str, Figure]

_WIDTH: Final = 140


class Section(NamedTuple):
    """
    One benchmark's result.

    Args:
        note: how it was measured, in one sentence.
        rows: their columns may differ; a figure that is not there stays empty.
    """

    title: str
    note: str
    rows: Sequence[Row]


def median_of(sections: Sequence[Section]) -> Section:
    """The section whose every number is the median of that number over the runs."""
    first = sections[0]
    rows = [_median_row(same) for same in zip(*(s.rows for s in sections), strict=True)]
    often = f" Median of {len(sections)} runs." if len(sections) > 1 else ""
    return first._replace(note=first.note + often, rows=rows)


def show(sections: Sequence[Section], facts: Mapping[str, Figure]) -> None:
    """Print everything as Markdown, so that it can be kept in a document as it is."""
    console = Console(width=_WIDTH, highlight=False, markup=False)
    for section in sections:
        console.print(f"\n### {section.title}\n\n{section.note}")
        console.print(_table(section.rows))
    console.print("\n" + ", ".join(f"{name} {value}" for name, value in facts.items()))


def write_json(path: Path, sections: Sequence[Section], facts: Mapping[str, Figure]) -> None:
    """Write the same for programs."""
    found = {"measured": facts, "sections": [section._asdict() for section in sections]}
    path.write_text(json.dumps(found, indent=1) + "\n")


def text_of(figure: Figure | None) -> str:
    """Three digits that count; thousands apart."""
    match figure:
        case None:
            return ""
        case float():
            return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
        case int():
            return f"{figure:,}"
        case str():
            return figure


def _median_row(same: Sequence[Row]) -> Row:
    return {name: _median([row[name] for row in same]) for name in same[0]}


def _median(figures: Sequence[Figure]) -> Figure:
    numbers = [figure for figure in figures if not isinstance(figure, str)]
    if len(numbers) < len(figures):
        return figures[0]
    middle = median(numbers)
    return round(middle) if all(isinstance(number, int) for number in numbers) else middle


def _table(rows: Sequence[Row]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=box.MARKDOWN, pad_edge=True)
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(text_of(row.get(name)) for name in names))
    return table
