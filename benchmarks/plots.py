"""How does a result look? Three kinds of pictures of rows, the same bytes every time."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.report import Row, text_of

_INK, _PAPER, _FAINT = "#1f2328", "#ffffff", "#d1d9e0"
# What the same three are where the reader's screen is dark.
_DARK: Final = {_INK: "#e6edf3", _PAPER: "#0d1117", _FAINT: "#3d444d"}
_COLOURS: Final = (
    *("#3b82c4", "#d97706", "#2f9e6e", "#8b6cc9", "#d1495b"),
    *("#2aa6b8", "#a3812d", "#7d8590", "#c45ba0", "#6b8e23"),
)
_STYLE: Final[dict[Any, Any]] = {
    # Text stays text, and ids and bytes are the same in every run.
    "svg.fonttype": "none",
    "svg.hashsalt": "customeros",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "figure.facecolor": _PAPER,
    "axes.facecolor": _PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "grid.color": _FAINT,
    "figure.constrained_layout.w_pad": 0.15,
    "figure.constrained_layout.h_pad": 0.06,
}
_WIDTH_INCHES: Final = 7.5
_BAR_INCHES: Final = 0.3
_MARKED_POINTS: Final = 40


class Kind(StrEnum):
    """
    The pictures there are.

    BARS: a bar for each name and value. STACKED: the values of a name after one another, which add
    up. NESTED: over one another from zero, for values of which each holds the one before, as p50,
    p95 and p99. LINES: over numbers.
    """

    BARS = "bars"
    STACKED = "stacked"
    NESTED = "nested"
    LINES = "lines"


class Plot(NamedTuple):
    """
    A picture of one section's rows; a row without a number in any of the columns is left out.

    Args:
        name: of the file, `NAME.svg`.
        section: the title of the section.
        question: what the picture answers, its title.
        x: the column that names the bars, or is what the lines go over; none: there is one bar.
        values: columns in one unit, each with a colour of its own.
        unit: of the values, with what they are, as in `CPU µs per event`.
        by: a column whose values tell the series apart, where `values` is one column.
        log: the axes that are logarithmic: `x`, `y` or `xy`; bars have a `y` alone.
        aim: a value to compare with.
    """

    name: str
    section: str
    question: str
    kind: Kind
    x: str
    values: Sequence[str]
    unit: str
    by: str = ""
    log: str = ""
    aim: float | None = None


Series = Mapping[str, Mapping[str | float, float]]


def svg(plot: Plot, rows: Sequence[Row]) -> str:
    """
    The picture, for light and dark screens.

    Raises:
        ValueError: none of *rows* has a number in the plot's columns.
    """
    found = series_of(plot, rows)
    if not found:
        raise ValueError(f"nothing to draw for {plot.name}")
    with mpl.rc_context(_STYLE):
        picture = Picture(layout="constrained")
        axes = picture.subplots()
        if plot.kind is Kind.LINES:
            picture.set_size_inches(_WIDTH_INCHES, 3.6)
            _lines(axes, plot, found)
        else:
            _bars(picture, axes, plot, found)
        picture.suptitle(plot.question, x=0.01, ha="left", fontsize=11, fontweight="bold")
        written = io.StringIO()
        picture.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return _for_dark_too(written.getvalue())


def series_of(plot: Plot, rows: Sequence[Row]) -> Series:
    """Name of each series to its values by what `plot.x` says of them."""
    found: dict[str, dict[str | float, float]] = {}
    for row in rows:
        for column in plot.values:
            value, at = row.get(column), row.get(plot.x) if plot.x else ""
            if isinstance(value, str) or value is None or at is None:
                continue
            if plot.kind is Kind.LINES and isinstance(at, str):
                continue
            name = str(row.get(plot.by, "")) if plot.by else column
            found.setdefault(name, {})[at] = value
    return found


def _bars(picture: Picture, axes: Axes, plot: Plot, series: Series) -> None:
    names = list(dict.fromkeys(at for values in series.values() for at in values))
    beside = len(series) if plot.kind is Kind.BARS else 1
    height = 0.8 / beside
    picture.set_size_inches(
        _WIDTH_INCHES, 1.3 + _BAR_INCHES * len(names) * (1 + 0.7 * (beside - 1))
    )
    ends = dict.fromkeys(names, 0.0)
    drawn = list(series.items())
    for number, (name, values) in enumerate(drawn):
        colour = _COLOURS[number % len(_COLOURS)]
        place = (number - (len(drawn) - 1) / 2) * height if plot.kind is Kind.BARS else 0.0
        shown = {at: values.get(at, 0.0) for at in names}
        left = [ends[at] for at in names] if plot.kind is Kind.STACKED else None
        axes.barh(
            [at + place for at in range(len(names))],
            list(shown.values()),
            height,
            left=left,
            label=name,
            color=colour,
            # The longest of nested bars lie at the back.
            zorder=3 + (len(drawn) - number if plot.kind is Kind.NESTED else 0),
        )
        for row, at in enumerate(names):
            if plot.kind is Kind.STACKED:
                ends[at] += shown[at]
            else:
                ends[at] = max(ends[at], shown[at])
            if plot.kind is Kind.BARS and at in values:
                _label(axes, text_of(values[at]), shown[at], row + place)
    if plot.kind is not Kind.BARS:
        for row, at in enumerate(names):
            _label(axes, text_of(float(ends[at])), ends[at], row)
    axes.set_yticks(range(len(names)), [text_of(at) for at in names])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(plot.unit)
    axes.grid(axis="x", zorder=0)
    if "y" in plot.log:
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, max(*ends.values(), plot.aim or 0.0) * 1.12 or 1.0)
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if plot.aim is not None:
        axes.axvline(
            plot.aim, color=_INK, linestyle=":", zorder=8, label=f"aim: {text_of(plot.aim)}"
        )
    _legend(picture, axes, len(series), plot.aim)


def _lines(axes: Axes, plot: Plot, series: Series) -> None:
    for number, (name, values) in enumerate(series.items()):
        points = sorted((float(at), value) for at, value in values.items())
        axes.plot(
            [at for at, _ in points],
            [value for _, value in points],
            color=_COLOURS[number % len(_COLOURS)],
            marker="o" if len(points) <= _MARKED_POINTS else None,
            markersize=4,
            label=name,
        )
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.unit)
    axes.grid(zorder=0)
    if "x" in plot.log:
        axes.set_xscale("log")
    if "y" in plot.log:
        axes.set_yscale("log")
        drawn = [value for values in series.values() for value in values.values() if value > 0] or [
            1.0
        ]
        # Whole decades, so that there is a number to read.
        axes.set_ylim(
            10 ** math.floor(math.log10(min(drawn))), 10 ** math.ceil(math.log10(max(drawn)) + 1e-9)
        )
    else:
        axes.set_ylim(bottom=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_tick))
        axis.set_minor_formatter(NullFormatter())
    if plot.aim is not None:
        axes.axhline(plot.aim, color=_INK, linestyle=":", label=f"aim: {text_of(plot.aim)}")
    picture = axes.get_figure()
    assert isinstance(picture, Picture)
    _legend(picture, axes, len(series), plot.aim)


def _legend(picture: Picture, axes: Axes, series: int, aim: float | None) -> None:
    if series > 1 or aim is not None:
        handles, labels = axes.get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside lower left", ncols=5, fontsize=9)


def _label(axes: Axes, text: str, at: float, row: float) -> None:
    axes.annotate(
        text, (at, row), (4, 0), textcoords="offset points", va="center", fontsize=9, zorder=9
    )


def _tick(value: float, _: object) -> str:
    if value and abs(value) < 1:
        return f"{value:.{max(0, -math.floor(math.log10(abs(value))))}f}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _for_dark_too(picture: str) -> str:
    """Without the rules it is the light picture, for readers that know no style sheets."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in _DARK.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    return re.sub(r"(<svg [^>]*>)", rf"\1\n {style}", picture, count=1)
