"""Run ours, splink and dedupe on the same pairs of each set, and print how right they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from time import perf_counter
from typing import Final

from benchmarks.identity import rivals
from benchmarks.identity.measures import b_cubed, groups, pairwise, right
from benchmarks.identity.sets import SETS, DataSet
from customeros.processors.suggestions.blocks import candidates
from customeros.processors.suggestions.record import Record, record
from customeros.processors.suggestions.suggest import SHOWN, suggest

Pair = tuple[int, int]
Line = dict[str, str | int | float | bool]

# What a rival could reach with the best threshold, which only the truth tells.
_THRESHOLDS: Final = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999)


def main(names: Sequence[str]) -> None:
    """Lines of figures to standard output, as a table, and with `--json` as JSON lines."""
    as_json = "--json" in names
    chosen = [name for name in names if not name.startswith("-")] or list(SETS)
    tools = f"splink {version('splink')}, dedupe {version('dedupe')}"
    heads = ("P", "R", "F1", "B3 P", "B3 R", "B3 F1", "best F1", "s")
    if not as_json:
        print(tools)
        print(f"{'set':<12} {'tool':<12}" + "".join(f"{head:>9}" for head in heads))
    for name in chosen:
        for line in lines(SETS[name]()):
            if as_json:
                print(json.dumps(line), flush=True)
            else:
                print(_printed(line), flush=True)


def lines(data: DataSet) -> Iterator[Line]:
    """One line per tool, and one for what we show first."""
    started = perf_counter()
    records = [record(f"{place:09}", row) for place, row in enumerate(data.rows)]
    suggestions = suggest(records, at_least=min(_THRESHOLDS))
    seconds = perf_counter() - started
    ours = {(int(s.a), int(s.b)): s.probability for s in suggestions}
    yield _line(data, "customerOS", ours, seconds)
    compared = list(candidates(records))
    first = [(int(s.a), int(s.b)) for s in suggestions if s.first]
    yield {
        "set": data.name,
        "tool": "shown first",
        "precision": right(first, data.truth),
        "pairs": len(first),
        "candidates": len(compared),
    }
    scorers: tuple[tuple[str, Callable[[DataSet, Sequence[Pair]], rivals.Scores]], ...] = (
        ("splink", rivals.by_splink),
        ("dedupe", rivals.by_dedupe),
    )
    tidied = data._replace(rows=[_plain(one) for one in records])
    for tool, score in scorers:
        started = perf_counter()
        scores = score(tidied, compared)
        yield _line(data, tool, scores, perf_counter() - started)


def _plain(one: Record) -> dict[str, str | tuple[str, ...]]:
    """Tidied as ours are: nobody wins by lower-casing."""
    return {name: v if name == "related" else v[0] for name, v in one.values.items()}


def _line(data: DataSet, tool: str, scores: rivals.Scores, seconds: float) -> Line:
    def found(least: float) -> list[int]:
        return groups(len(data.truth), [pair for pair, s in scores.items() if s >= least])

    pairs, cubed = pairwise(found(SHOWN), data.truth), b_cubed(found(SHOWN), data.truth)
    return {
        "set": data.name,
        "tool": tool,
        "records": len(data.truth),
        "tuned": data.tuned,
        "precision": pairs.precision,
        "recall": pairs.recall,
        "f1": pairs.f1,
        "b3_precision": cubed.precision,
        "b3_recall": cubed.recall,
        "b3_f1": cubed.f1,
        "best_f1": max(pairwise(found(least), data.truth).f1 for least in _THRESHOLDS),
        "seconds": seconds,
    }


def _printed(line: Line) -> str:
    head = f"{line['set']:<12} {line['tool']:<12}"
    if line["tool"] == "shown first":
        return f"{head}{line['precision']:>9.4f}   {line['pairs']} of {line['candidates']} pairs"
    figures = ("precision", "recall", "f1", "b3_precision", "b3_recall", "b3_f1", "best_f1")
    return head + "".join(f"{line[f]:>9.4f}" for f in figures) + f"{line['seconds']:>9.1f}"


if __name__ == "__main__":
    main(sys.argv[1:])
