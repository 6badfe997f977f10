"""A rebuild knows what events do not say, is compared by name, and hides nothing."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from customeros.ops.cli import app
from customeros.ops.digest import Facts
from customeros.ops.replay.comparing import Comparison, compare
from customeros.ops.replay.decisions import unerased, untold
from customeros.ops.replay.generations import alone
from customeros.ops.replay.settling import Progress, Unsettled, settle
from customeros.ops.replay.telling import Teller
from customeros.ops.variables import unknown_variables
from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import Settings
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import IDENTITY_CHANGE
from customeros.schemas.identity import Assignment, Evidence, EvidenceKind, IdentityChange
from customeros.schemas.topics import CHANGES
from support.promises import History, histories
from support.whole_pipeline import a_pipeline, fingerprint, happen, live

_DOCS = Path(__file__).parents[2] / "docs"


def _changes(pipeline: InMemoryPipeline) -> dict[bytes, IdentityChange]:
    return {k: IDENTITY_CHANGE.decode(v) for k, v in pipeline.latest(CHANGES).items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(told=6))
def test_events_and_the_record_of_what_people_decided_make_everything_again(
    history: History,
) -> None:
    """Whatever the order in which either came, and what was taken back included."""
    order = random.Random(history.order)
    running, rebuilt = (a_pipeline(history.partitions) for _ in range(2))
    live(running, history.said, order, crashes=history.crashes)
    running.run(order)
    decided = _changes(running)

    happen(rebuilt, list(untold(decided, {})))
    happen(rebuilt, history.events)
    rebuilt.run(order)

    assert fingerprint(rebuilt) == fingerprint(running)
    assert _changes(rebuilt) == decided
    assert list(untold(decided, _changes(rebuilt))) == []


def test_rules_are_handed_over_before_what_is_judged_by_them() -> None:
    made = {
        name.encode(): IdentityChange(
            workspace="shop",
            change_id=name,
            version=version,
            kind="split",
            on=True,
            left=("a",),
            right=("b",),
            by="ada",
            why="two people",
            made_at=version,
        )
        for name, version in (("late", 9), ("early", 3), ("known", 5))
    }

    told = [said.cut.cut_id for said in untold(made, {b"known": made[b"known"]}) if said.cut]

    assert told == ["early", "late"]


def test_what_was_erased_is_erased_in_the_rebuild_too() -> None:
    said = Assignment(
        workspace="shop",
        key="k",
        type="email",
        customer_id="c",
        version=7,
        epoch=2,
        cause="erasure-1",
    )

    (told,) = unerased({b"shop/k": said, b"shop/l": None}, {b"shop/l": None})

    assert told.kind is EvidenceKind.ERASE
    assert told.erase is not None
    assert (told.erase.key, told.erase.epoch) == ("k", 2)
    assert not list(unerased({b"shop/k": said}, {b"shop/k": said}))


@pytest.mark.parametrize("page", ["replay.md", "backup.md"])
def test_a_page_names_commands_and_settings_that_are_there(page: str) -> None:
    """With their options."""
    blocks = re.findall(r"```bash\n(.*?)```", (_DOCS / page).read_text(), re.DOTALL)
    lines = [line.split() for line in "".join(blocks).splitlines()]
    commands = [words[1:] for words in lines if words[0] == "customeros"]

    assert len(commands) > 5
    for words in commands:
        names = [word for word in words if word.isalpha()]
        helped = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
        assert helped.exit_code == 0, words
        assert all(word in helped.output for word in words if word.startswith("-")), words
    others = [words for words in lines if words[0] != "customeros"]
    assert all(words[0] == "export" for words in others)
    said = dict(words[1].split("=") for words in others)
    assert unknown_variables(said) == []


def test_differences_are_told_by_name() -> None:
    one = Facts({"shop|a": "x", "shop|b": "x"}, {"shop|k": "a"}, {})
    other = Facts({"shop|b": "y", "shop|c": "x"}, {"shop|k": "a"}, {"shop|acme": "x"})

    found = compare(one, other)

    assert not found.equal
    assert found.customers == (("shop|a",), ("shop|c",), ("shop|b",))
    assert found.identifiers == ((), (), ())
    assert found.accounts == ((), ("shop|acme",), ())
    assert compare(one, one).equal


def test_only_the_first_differences_are_listed_with_the_count_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = Facts({f"shop|c{n}": "x" for n in range(1_200)}, {}, {})
    found = compare(one, Facts({}, {}, {}))

    Teller(for_scripts=False).result(found, 1, 2, first=2)
    told = capsys.readouterr().out.splitlines()
    Teller(for_scripts=True).result(found, 1, 2, first=2)
    answer = json.loads(capsys.readouterr().out)

    assert told[2:] == [
        "they differ",
        "1,200 customers only in generation 1",
        "  shop c0",
        "  shop c1",
        "  and 1,198 more (--first)",
    ]
    assert answer["equal"] is False
    assert answer["customers"]["only_running"] == {"count": 1200, "first": ["shop|c0", "shop|c1"]}
    assert answer["running"]["customers"] == 1200


def test_progress_is_told_once_and_not_to_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    made = Progress({"resolve": 12_000, "graph": 0}, 3_000, 1_500.0)

    for teller in (Teller(for_scripts=False), Teller(for_scripts=True)):
        teller.progress(made)
        teller.progress(made)

    assert capsys.readouterr().out == (
        "3,000 events folded; still to read: resolve 12,000, graph 0; 1,500 events/s\n"
    )


@pytest.mark.parametrize("generation", ["1", "3"])
def test_what_is_in_force_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: str
) -> None:
    """Neither by the environment nor by the home."""
    monkeypatch.setenv("CUSTOMEROS_HOME", str(tmp_path))
    monkeypatch.setenv("CUSTOMEROS_GENERATION", "3")

    done = CliRunner().invoke(app, ["replay", "drop", generation, "--yes"])

    assert isinstance(done.exception, Misconfigured)
    assert f"generation {generation} is in force: switch to another" in str(done.exception)


def test_one_home_is_rebuilt_by_one_command_at_a_time(tmp_path: Path) -> None:
    home = Settings(home=tmp_path)

    with alone(home), pytest.raises(Misconfigured, match="is at work in this home"), alone(home):
        pass
    with alone(home):
        pass


class _Platform:
    """
    Two generations as `settle` sees them.

    Args:
        lags: at each look, the last one for ever. restless: looks at which something moves.
        stubborn: it does not take what it is told.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        lags: list[int],
        restless: int,
        stubborn: bool = False,
    ) -> None:
        self.lags = lags
        self.restless = restless
        self.undecided = [Evidence(workspace="shop", kind=EvidenceKind.CUT)]
        self.stubborn = stubborn
        self.told = 0
        self.clock = 0.0
        place = "customeros.ops.replay.settling."
        monkeypatch.setattr(place + "stage_lags", self._lags)
        monkeypatch.setattr(place + "_folded", lambda _: 10)
        monkeypatch.setattr(place + "missing", lambda *_: list(self.undecided))
        monkeypatch.setattr(place + "tell", self._tell)
        monkeypatch.setattr(place + "_at_rest", self._at_rest)
        monkeypatch.setattr(place + "read_facts", lambda *_: Facts({}, {}, {}))
        monkeypatch.setattr(place + "time", SimpleNamespace(monotonic=lambda: self.clock))

    def settle(self) -> Comparison:
        one = Settings()
        return settle(one, one.of(2), patience=30, show=lambda _: None, wait=self._wait)

    def _lags(self, *_: object) -> dict[str, int]:
        return {"resolve": self.lags.pop(0) if len(self.lags) > 1 else self.lags[0]}

    def _tell(self, _: Settings, evidence: list[Evidence]) -> None:
        self.told += len(evidence)
        if not self.stubborn:
            self.undecided.clear()

    def _at_rest(self, *_: object) -> dict[object, object] | None:
        self.restless -= 1
        return {} if self.restless < 0 else None

    def _wait(self, seconds: float) -> None:
        self.clock += seconds


def test_both_are_compared_when_nothing_is_left_nothing_was_decided_and_nothing_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform = _Platform(monkeypatch, lags=[9, 3, 0], restless=2)

    assert platform.settle().equal
    assert (platform.told, platform.clock) == (1, 6.0)


def test_a_decision_that_the_rebuild_does_not_take_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it changes is among the differences."""
    platform = _Platform(monkeypatch, lags=[0], restless=0, stubborn=True)

    assert platform.settle().equal
    assert platform.told == 1


def test_where_traffic_never_rests_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the rebuild is a little behind at every look."""
    for lags, restless in (([0], 10**6), ([9, 5, 7], 0)):
        platform = _Platform(monkeypatch, lags=lags, restless=restless)

        with pytest.raises(Unsettled, match=r"let the senders, or the collector, pause"):
            platform.settle()

        assert 30 < platform.clock < 40


def test_a_rebuild_that_comes_nearer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = _Platform(monkeypatch, lags=list(range(500, -1, -1)), restless=0)

    assert platform.settle().equal
