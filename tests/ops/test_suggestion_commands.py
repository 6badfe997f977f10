"""`identity suggestions`, `accept` and `refuse` ask the API and show what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from customeros.ops import identity_commands, suggestion_commands
from customeros.ops.ask import NotKnown, NotYet
from customeros.ops.cli import app

JON = {
    "customer_id": "cjon",
    "name": "Jon Whitfield",
    "identifiers": ["phone:+447700900123"],
    "orders": 2,
}
JOHN = {
    "customer_id": "cjohn",
    "name": None,
    "identifiers": ["email:john@example.com"],
    "orders": 0,
}
ANSWER = {
    "as_of": "2026-01-01T12:00:00.000Z",
    "customers": 3,
    "suggestions": [
        {
            "a": JON,
            "b": JOHN,
            "probability": 0.9995,
            "first": True,
            "reasons": ["same birth date", "another city"],
            "forbidden": {"text": "they would have more \x1b[31mthan"},
        }
    ],
    "next": "cursor",
}


class Api:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, *answers: Mapping[str, Any] | Exception) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._answers = list(answers)

    def __call__(self, settings: object, path: str, order: Any = None) -> Mapping[str, Any]:
        self.asked.append((path, order))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def run(monkeypatch: pytest.MonkeyPatch, api: Api, *arguments: str) -> Any:
    for module in (suggestion_commands, identity_commands):
        monkeypatch.setattr(module, "ask_api", api)
    monkeypatch.setattr(suggestion_commands, "_LOOK_SECONDS", 0)
    return CliRunner().invoke(app, ["identity", *arguments])


def test_a_suggestion_is_shown_with_both_customers_and_the_reasons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing of what customers wrote reaches the terminal as an order to it."""
    shown = run(monkeypatch, Api(ANSWER), "suggestions")

    assert shown.exit_code == 0
    for told in ("cjon cjohn", "sure 1.000", "Jon Whitfield", "email:john@", "another city"):
        assert told in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "--after cursor" in shown.stderr


def test_json_is_the_answer_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run(monkeypatch, Api(ANSWER), "suggestions", "--json", "--limit", "7")

    assert json.loads(shown.stdout) == ANSWER


def test_customers_that_are_being_compared_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(NotYet("the API"), NotYet("the API"), {**ANSWER, "suggestions": [], "next": None})

    shown = run(monkeypatch, api, "suggestions", "--fresh")

    assert "no suggestions" in shown.stdout
    assert len(api.asked) == 3
    assert len({path for path, _ in api.asked}) == 1
    assert "as_of=" in api.asked[0][0]


@pytest.mark.parametrize("what", ["accept", "refuse"])
def test_a_decision_goes_to_the_api_and_its_id_is_printed(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    api = Api({"change_id": f"{what}-1", "effective": True})

    done = run(monkeypatch, api, what, "cjon", "cjohn", "--why", "asked him")

    assert done.stdout == f"{what}-1\n"
    ((path, order),) = api.asked
    assert path == f"identity/suggestions/{what}"
    assert (order["a"], order["b"], order["why"]) == ("cjon", "cjohn", "asked him")


def test_a_decision_that_is_refused_ends_in_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(NotKnown("split by hand: undo refuse-1 first"))

    done = run(monkeypatch, api, "accept", "cjon", "cjohn", "--why", "asked him")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "undo refuse-1 first" in done.stderr
