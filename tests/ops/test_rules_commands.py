"""`identity what-if`, `adopt` and `rules`: the API's answers, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from customeros.ops import rules_commands
from customeros.ops.ask import NotKnown
from customeros.ops.cli import app
from customeros.runtime.errors import Misconfigured

REASON = {
    "a": "device_id:tablet",
    "b": "user_id:eve",
    "reason": "limit",
    "text": "a limit of 1 user_id no longer stands between them",
}
NOTHING: dict[str, Any] = {
    "workspace": "shop",
    "version": 3,
    "differences": [],
    "identifiers": 1234,
    "behind": 0,
    "joins": {"total": 0, "customers": 0, "first": []},
    "splits": {"total": 0, "first": []},
    "consent": {"total": 0, "purposes": {}, "first": []},
    "quarantine": {"added": 0, "released": 0, "unjudged": 0},
    "blocked": 0,
}
CHANGES: dict[str, Any] = {
    **NOTHING,
    "differences": [{"rule": "identifiers.types.user_id.limit", "now": 1, "then": 2}],
    "behind": 3,
    "joins": {
        "total": 1,
        "customers": 2,
        "first": [
            {
                "customers": ["c1", "c2"],
                "in_part": [],
                "identifiers": ["device_id:tablet", "user_id:ada"],
                "total": 3,
                "reasons": [REASON],
            }
        ],
    },
    "consent": {
        "total": 1,
        "purposes": {"ads": 1},
        "first": [{"customer": "c1", "purpose": "ads", "because": ["c2"], "certain": False}],
    },
    "quarantine": {"added": 1, "released": 2, "unjudged": 4},
}


class Api:
    """Answers with what it is given, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | Exception = CHANGES
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, settings: object, path: str, order: Any = None, *, seconds: float) -> Any:
        self.asked.append((path, order))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answers.get(path.partition("?")[0], self.answer)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    found = Api()
    monkeypatch.setattr(rules_commands, "ask_api", found)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "new.toml"
    path.write_text("[workspaces.shop]\n")
    return path


def ran(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["identity", "what-if", "--rules", str(file), *arguments])


def test_the_file_goes_to_the_api_as_it_is(api: Api, file: Path) -> None:
    ran(file, "--workspace", "shop", "--first", "7")

    assert api.asked == [
        (
            "identity/what-if?workspace=shop",
            {"toml": "[workspaces.shop]\n", "file": "new.toml", "first": 7},
        )
    ]


def test_people_read_who_why_and_how_many(api: Api, file: Path) -> None:
    done = ran(file)

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "shop: 1,234 identifiers with evidence",
        "  identifiers.types.user_id.limit: 1 \u2192 2",
        "would join: 2 customers, to 1",
        "  c1 + c2: device_id:tablet, user_id:ada and 1 more",
        "    device_id:tablet \u2014 user_id:eve: "
        "a limit of 1 user_id no longer stands between them",
        "would split: 0 customers",
        "consent would narrow: 1, ads 1",
        "  c1: ads, refused by c2, if the part that joins is the one that refuses",
        "quarantine: 1 more, 2 released",
        "  4 stay there: not all of their evidence was kept",
        "blocked: 0 more",
        "behind: 3 identifiers still follow evidence; ask again",
    ]


def test_programs_get_the_answer_itself(api: Api, file: Path) -> None:
    assert json.loads(ran(file, "--json").stdout) == CHANGES


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ((), 0),
        (("none",), 0),
        (("join",), 1),
        (("split",), 0),
        (("consent",), 1),
        (("any",), 1),
        (("split", "consent"), 1),
    ],
)
def test_the_exit_code_is_1_for_what_fail_on_names(
    api: Api, file: Path, named: tuple[str, ...], code: int
) -> None:
    asked = [argument for name in named for argument in ("--fail-on", name)]

    assert ran(file, *asked).exit_code == code


def test_nothing_fails_where_nothing_changes(api: Api, file: Path) -> None:
    api.answer = NOTHING

    done = ran(file, "--fail-on", "any", "--fail-on", "consent")

    assert done.exit_code == 0
    assert "these are the rules in force" in done.stdout


@pytest.mark.parametrize("code", ["malformed_rules", "other_workspace"])
def test_a_mistake_in_the_file_is_one_of_configuration(api: Api, file: Path, code: str) -> None:
    api.answer = NotKnown("new.toml:1: did you mean limit?", code)

    done = ran(file)

    assert isinstance(done.exception, Misconfigured)
    assert str(done.exception) == "new.toml:1: did you mean limit?"


def test_another_refusal_is_not_taken_for_a_change(api: Api, file: Path) -> None:
    """1 is said by --fail-on alone."""
    api.answer = NotKnown("other rules are being tried; try again", "busy")

    done = ran(file)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "customeros: other rules are being tried; try again\n"


def test_a_file_that_is_not_there_is_named(api: Api, tmp_path: Path) -> None:
    done = ran(tmp_path / "none.toml")

    assert isinstance(done.exception, Misconfigured)
    assert "cannot be read: No such file" in str(done.exception)


ADOPTED = {"version": 4, "effective": True}


def adopting(file: Path, *arguments: str, said: str = "") -> Result:
    command = ["identity", "adopt", "--rules", str(file), "--why", "households", *arguments]
    return CliRunner().invoke(app, command, input=said)


def test_adopting_shows_what_changes_and_then_asks(api: Api, file: Path) -> None:
    api.answers["identity/rules"] = ADOPTED

    done = adopting(file, said="y\n")

    assert done.exit_code == 0
    assert "would join: 2 customers, to 1" in done.stdout
    assert done.stdout.endswith("version 4 is in force\n")
    path, order = api.asked[-1]
    assert path == "identity/rules?"
    assert (order["why"], order["after"], order["toml"]) == (
        "households",
        3,
        "[workspaces.shop]\n",
    )
    assert order["by"]


@pytest.mark.parametrize("said", ["n\n", ""])
def test_without_a_yes_nothing_is_adopted(api: Api, file: Path, said: str) -> None:
    """Nor where nobody is there to say it."""
    done = adopting(file, said=said)

    assert done.exit_code != 0
    assert [path for path, _ in api.asked] == ["identity/what-if?"]


def test_a_script_says_yes_beforehand(api: Api, file: Path) -> None:
    api.answers["identity/rules"] = {"version": 4, "effective": False}

    done = adopting(file, "--yes")

    assert done.exit_code == 0
    assert "version 4 is recorded" in done.stdout
    assert "the graph worker has not taken it yet" in done.stderr


def test_the_rules_in_force_are_not_adopted_again(api: Api, file: Path) -> None:
    api.answer = NOTHING

    done = adopting(file, "--yes")

    assert done.exit_code == 2
    assert done.stderr == "customeros: nothing to adopt: these are the rules in force\n"
    assert len(api.asked) == 1


def test_adopted_versions_are_listed_with_who_and_why(api: Api) -> None:
    api.answers["identity/rules"] = {
        "rules": [
            {
                "version": 2,
                "by": "ada",
                "why": "households",
                "made_at": "2026-01-01T12:00:00.000Z",
                "differences": CHANGES["differences"],
            }
        ]
    }

    done = CliRunner().invoke(app, ["identity", "rules"])

    assert done.stdout.splitlines() == [
        "2  2026-01-01T12:00  ada  households",
        "     identifiers.types.user_id.limit: 1 \u2192 2",
    ]


def test_one_version_is_shown_as_a_file_says_it(api: Api) -> None:
    api.answers["identity/rules"] = {"version": 2, "rules": {}, "toml": "[workspaces.shop]\n"}

    done = CliRunner().invoke(app, ["identity", "rules", "--show", "2", "--workspace", "shop"])

    assert done.stdout == "[workspaces.shop]\n"
    assert api.asked == [("identity/rules?workspace=shop&version=2", None)]


def test_without_any_the_file_holds(api: Api) -> None:
    api.answers["identity/rules"] = {"rules": []}

    assert "those of customeros.toml hold" in CliRunner().invoke(app, ["identity", "rules"]).stdout
