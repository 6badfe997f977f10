"""Of the benchmark's made-up customers suggestions find those who are there twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]


def test_of_many_customers_those_there_twice_are_found_and_hardly_anybody_else() -> None:
    command = [sys.executable, "-m", "benchmarks.identity.scale", "--one", "3000"]

    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)

    figures = json.loads(done.stdout)
    assert figures["customers"] == 3_000
    assert figures["found"] > 0.8
    assert figures["first"] > 20
    assert figures["first_right"] >= 0.99
