"""What is a result, and how does it read? Rows of named figures, and medians of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

Figure = str | int | float
Row = Mapping[str, Figure]


class Section(NamedTuple):
    """
    One table of a measurement.

    Args:
        note: how it was measured, in one sentence.
        rows: their columns may differ; a figure that is not there stays empty.
        shown: False for what only a plot can tell, such as a row for every second.
    """

    title: str
    note: str
    rows: Sequence[Row]
    shown: bool = True


def median_of(runs: Sequence[Sequence[Section]]) -> list[Section]:
    """The sections of one run with every number the median of that number over the runs."""
    return [_median_section(same) for same in zip(*runs, strict=True)]


def markdown(section: Section) -> str:
    """Its title, its note and, where it is shown, its table."""
    table = f"\n\n{_table(section.rows)}" if section.shown and section.rows else ""
    return f"### {section.title}\n\n{section.note}{table}"


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


def _median_section(same: Sequence[Section]) -> Section:
    first = same[0]
    rows = [_median_row(rows) for rows in zip(*(s.rows for s in same), strict=True)]
    often = f" Median of {len(same)} runs." if len(same) > 1 else ""
    return first._replace(note=first.note + often, rows=rows)


def _median_row(same: Sequence[Row]) -> Row:
    names = dict.fromkeys(name for row in same for name in row)
    return {name: _median([row[name] for row in same if name in row]) for name in names}


def _median(figures: Sequence[Figure]) -> Figure:
    numbers = [figure for figure in figures if not isinstance(figure, str)]
    if len(numbers) < len(figures):
        return "; ".join(dict.fromkeys(map(text_of, figures)))
    middle = median(numbers)
    return round(middle) if all(isinstance(number, int) for number in numbers) else middle


def _table(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] + ["---:"] * (len(names) - 1)]
    lines += [[text_of(row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
