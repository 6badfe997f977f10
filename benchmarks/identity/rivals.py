"""The same pairs, scored by splink as it comes and by dedupe with labels."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import numpy
import pandas
import splink.comparison_library as library
from dedupe import Dedupe, variables
from splink import Linker, SettingsCreator, block_on
from splink.backends.duckdb import DuckDBAPI

from benchmarks.identity.sets import DataSet, Row

Pair = tuple[int, int]
Scores = dict[Pair, float]

# dedupe does not learn without labels: it gets so many of each kind, of the pairs it is judged by.
LABELS: Final = 100
_NAMES: Final = ("given", "surname")
_TEXTS: Final = ("street", "district", "city", "company")


def by_splink(data: DataSet, pairs: Sequence[Pair]) -> Scores:
    """
    splink on DuckDB with the comparisons of its library, trained without labels as documented:
    u by random sampling, m by expectation maximisation over two blocking rules.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    fields = _fields(data.rows)
    table = pandas.DataFrame(
        {name: [row.get(name) for row in data.rows] for name in fields}
        | {"unique_id": range(len(data.rows)), "pairs": _numbers(len(data.rows), pairs)}
    )
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(name) for name in fields],
        # A number that two records alone have: exactly the given pairs are compared.
        blocking_rules_to_generate_predictions=[block_on("pairs", arrays_to_explode=["pairs"])],
        additional_columns_to_retain=[],
        retain_matching_columns=False,
    )
    api = DuckDBAPI()
    linker: Any = Linker(api.register(table), settings, log_level=logging.ERROR)
    third = "born" if "born" in fields else "company"
    # Of two thousand Thomas Muellers few are one: names alone would be no sure sign.
    sure = [block_on("surname", third), block_on("given", third)]
    linker.training.estimate_probability_two_random_records_match(sure, recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in (block_on("given", "surname"), block_on(third)):
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, record_sample_proportion=1.0
        )
    found = linker.inference.predict(threshold_match_probability=0.001).as_pandas_dataframe()
    return {
        (min(int(a), int(b)), max(int(a), int(b))): float(likely)
        for a, b, likely in zip(
            found.unique_id_l, found.unique_id_r, found.match_probability, strict=True
        )
    }


def by_dedupe(data: DataSet, pairs: Sequence[Pair]) -> Scores:
    """dedupe's comparisons and classifier, taught with `LABELS` true and as many false pairs."""
    fields = _fields(data.rows)
    empty: dict[str, Any] = dict.fromkeys(fields)
    rows = [empty | dict(row) for row in data.rows]
    defined = [
        variables.Set(name, has_missing=True)
        if name == "related"
        else variables.String(name, has_missing=True)
        for name in fields
    ]
    matcher: Any = Dedupe(defined, num_cores=1, in_memory=True)
    taught: list[Pair] = []
    for same in (True, False):
        kind = (p for p in pairs if (data.truth[p[0]] == data.truth[p[1]]) is same)
        taught += islice(kind, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = matcher.data_model.distances([(rows[a], rows[b]) for a, b in taught])
        matcher.classifier.fit(
            known, numpy.array([data.truth[a] == data.truth[b] for a, b in taught])
        )
        scores: Scores = {}
        for start in range(0, len(pairs), 10_000):
            some = pairs[start : start + 10_000]
            far = matcher.data_model.distances([(rows[a], rows[b]) for a, b in some])
            likely = matcher.classifier.predict_proba(far)[:, -1]
            scores.update(zip(some, map(float, likely), strict=True))
    return scores


def _fields(rows: Sequence[Row]) -> list[str]:
    seen: Mapping[str, None] = dict.fromkeys(name for row in rows for name in row)
    return list(seen)


def _numbers(size: int, pairs: Sequence[Pair]) -> list[list[int]]:
    numbers: list[list[int]] = [[] for _ in range(size)]
    for number, (a, b) in enumerate(pairs):
        numbers[a].append(number)
        numbers[b].append(number)
    return numbers


def _comparison(name: str) -> Any:
    if name in _NAMES:
        return library.NameComparison(name).configure(term_frequency_adjustments=True)
    if name == "born":
        return library.DateOfBirthComparison(name, input_is_string=True, datetime_format="%Y%m%d")
    if name in _TEXTS:
        return library.JaroWinklerAtThresholds(name).configure(term_frequency_adjustments=True)
    if name == "related":
        return library.ArrayIntersectAtSizes(name, [3, 2, 1])
    if name == "postcode":
        return library.LevenshteinAtThresholds(name, 1)
    return library.ExactMatch(name).configure(term_frequency_adjustments=True)
