"""Libraries that repeat themselves do not fill the logs."""

from __future__ import annotations

import logging

from customeros.runtime.logs import Seldom


def a_line(text: str, *, at: float) -> logging.LogRecord:
    record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, text, None, None)
    record.created = at
    return record


def test_a_line_that_differs_only_in_numbers_is_said_again_after_a_while() -> None:
    seldom = Seldom()
    told = [
        ("Unable connect to node 1", 1000.0),
        ("Unable connect to node 2", 1001.0),
        ("Marking the coordinator dead", 1002.0),
        ("Unable connect to node 1", 1031.0),
    ]

    said = [text for text, at in told if seldom.filter(a_line(text, at=at))]

    assert said == [
        "Unable connect to node 1",
        "Marking the coordinator dead",
        "Unable connect to node 1",
    ]


def test_what_is_remembered_is_bounded() -> None:
    seldom = Seldom()

    assert all(seldom.filter(a_line("x" * size, at=1000.0)) for size in range(500))
