"""What grows, how fast, and the plan on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `python -m benchmarks`, which runs in the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


def test_an_exponent_is_the_slope_over_logarithms() -> None:
    from benchmarks.growth import exponent

    assert exponent([(n, 3 * n**2) for n in (1.0, 10.0, 100.0)]) == pytest.approx(2)
    assert exponent([(1, 5), (10, 5), (1_000, 5)]) == pytest.approx(0)
    assert exponent([(1, 5)]) == 0


def test_growth_is_measured_in_four_dimensions() -> None:
    """Each ends with the exponents of what was measured."""
    from benchmarks.growth import measure_growth

    sections = measure_growth(customers=10)

    assert [next(iter(section.rows[0])) for section in sections] == [
        "customers",
        "identifiers",
        "events",
        "identifiers",
    ]
    assert all("exponent" in section.rows[-1].values() for section in sections)
    (merge, _) = sections[-1].rows
    assert merge["moved"] == 1


def test_the_plan_on_paper_is_what_its_arithmetic_gives() -> None:
    from benchmarks.plan import plan
    from benchmarks.report import markdown

    told = (ROOT / "docs" / "scaling.md").read_text()
    _, _, planned = told.partition("| process | µs/event |")
    rows = [line.split("|") for line in planned.partition("\n\n")[0].splitlines()]
    measured = {name.strip(): float(micros) for _, name, micros, *_ in rows[2:] if micros.strip()}
    assert len(measured) == 7

    (found,) = plan(measured, rate=1e6)

    table = markdown(found).partition("| process")[2]
    assert f"| process{table}" in told


def test_what_is_no_part_of_the_platform_is_not_planned() -> None:
    from benchmarks.plan import plan

    (found,) = plan({"client (this process)": 10.0, "graph": 24.0}, rate=1_000)

    assert next(row["process"] for row in found.rows) == "graph"
