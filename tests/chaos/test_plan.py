"""A seed says everything: what is sent, what is done to whom, and when."""

from __future__ import annotations

from collections import Counter

from support.chaos.ledger import Ledger, Life
from support.chaos.plan import SESSION_SECONDS, TOPICS, Kind, plan_of
from support.chaos.report import Outcome, markdown, placed
from support.chaos.traffic import calls_of
from support.chaos.watching import Versions

SEEDS = range(1, 101)


def test_a_seed_gives_the_same_plan_and_the_same_calls_each_time() -> None:
    assert plan_of(7) == plan_of(7) != plan_of(8)
    calls = calls_of(7, people=20, events_each=5)
    assert calls == calls_of(7, people=20, events_each=5) != calls_of(8, people=20, events_each=5)


def test_a_hundred_seeds_have_eight_faults_or_more_each_and_every_kind_often() -> None:
    plans = [plan_of(seed) for seed in SEEDS]

    assert min(len(plan.faults) for plan in plans) >= 8
    kinds = Counter(fault.kind for plan in plans for fault in plan.faults)
    assert min(kinds[kind] for kind in Kind) >= 20
    assert {plan.two_machines for plan in plans} == {True, False}


def test_whoever_is_paused_is_paused_beyond_its_session() -> None:
    pauses = [
        fault.seconds
        for seed in SEEDS
        for fault in plan_of(seed).faults
        if fault.kind in (Kind.PAUSE, Kind.PAUSE_ALL)
    ]

    assert min(pauses) > SESSION_SECONDS


def test_partitions_are_added_to_events_changelogs_and_what_is_between() -> None:
    topics = {
        fault.name
        for seed in SEEDS
        for fault in plan_of(seed).faults
        if fault.kind is Kind.PARTITIONS
    }

    assert {"events.behavioral", "resolve-changelog", "customer-state"} <= topics
    assert topics <= set(TOPICS)


def test_calls_are_of_all_kinds_some_of_them_twice_and_some_of_them_poisoned() -> None:
    calls = [call for _, call in calls_of(1, people=60, events_each=12)]

    ids = Counter(call["messageId"] for call in calls)
    assert {call["type"] for call in calls} == {"track", "page", "identify", "group"}
    assert max(ids.values()) == 2
    assert any(name.startswith("poison") for name in ids)


def test_a_process_that_ends_beside_a_fault_is_counted_and_a_victim_is_not() -> None:
    ledger = Ledger()
    victim, bystander, sufferer, heir = (
        Life("a", name, pid)
        for name, pid in (("resolve", 1), ("graph", 2), ("kafka", 3), ("kafka", 4))
    )
    ledger.see({victim, bystander, sufferer})
    ledger.doom(victim.pid)
    ledger.suffer("a", "kafka", on=True)
    ledger.see({bystander, sufferer})
    ledger.see({bystander, heir})
    ledger.suffer("a", "kafka", on=False)

    assert ledger.ended_by_themselves({bystander}) == {}
    assert ledger.ended_by_themselves(set()) == {"graph": 1}


def test_a_version_that_comes_again_or_goes_back_is_a_step_back() -> None:
    topics, api = Versions("topics", repeats=False), Versions("api", repeats=True)
    for version in (1, 3, 3, 2, 4):
        topics.see("c1", version)
        api.see("c1", version)

    assert [(step.before, step.after) for step in topics.steps_back] == [(3, 3), (3, 2)]
    assert [(step.before, step.after) for step in api.steps_back] == [(3, 2)]


def test_the_report_adds_up_what_every_run_found() -> None:
    good = Outcome(1, events=900, watched=50, faults=[("kill -9", "kafka", 4.0)])
    bad = Outcome(
        2,
        events=100,
        faults=[("kill -9", "api", 8.0), ("clock jump", "a", 1.0)],
        wrong=[("lost", 3, "events.resolved: m1, m2, m3"), ("doubled", 1, "the view events: m4")],
        ended={"graph": 2},
    )

    told = markdown([good, bad])

    assert good.good
    assert not bad.good
    for row in (
        "| accepted events | 1,000 |",
        "| lost | 3 |",
        "| counted twice | 1 |",
        "| processes that ended beside a fault | 2 (graph 2) |",
        "| kill -9 | 2 | 6.0 s | 8.0 s |",
        "| all | 3 | 4.0 s | 8.0 s |",
        "| rolling restart | 0 | | |",
    ):
        assert row in told.splitlines()


def test_the_table_takes_the_place_of_the_one_before() -> None:
    first = placed("above\n<!-- last run -->\n<!-- /last run -->\nbelow\n", "| a |\n")

    assert first == "above\n<!-- last run -->\n\n| a |\n\n<!-- /last run -->\nbelow\n"
    assert placed(first, "| b |\n") == first.replace("| a |", "| b |")
