"""A worker that is killed, paused, replaced or wrongly set up loses and repeats nothing."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from customeros.runtime.clients import admin, producer
from customeros.runtime.ending import EXIT_CRASHED, EXIT_MISCONFIGURED
from customeros.runtime.settings import Worker
from customeros.runtime.topics import ensure_topics, prefixed
from customeros.schemas.topics import changelog
from support.counting import COUNTED, COUNTS, LEFT, RIGHT, STAGE
from support.delivery import CountingOnKafka
from support.partitions import add_partitions
from support.waiting import until

pytestmark = pytest.mark.integration

KEYS = 7
EVENTS = 6_000


def feed(pipeline: CountingOnKafka, numbers: range) -> None:
    for number in numbers:
        topic = LEFT if number % 2 else RIGHT
        pipeline.produce(topic, b"default/k%d" % (number % KEYS), b"%d" % number)
    pipeline.flush()


def assert_exact(pipeline: CountingOnKafka, numbers: range) -> None:
    """Every key's outputs are numbered without gap, repetition or step back, and sum up."""
    found: dict[bytes, list[int]] = {}
    totals: dict[bytes, int] = {}
    for record in pipeline.records(COUNTED):
        assert record.key is not None
        assert record.value is not None
        count = COUNTS.decode(record.value)
        found.setdefault(record.key, []).append(count.number)
        totals[record.key] = count.total
    for last in range(KEYS):
        mine = [number for number in numbers if number % KEYS == last]
        assert found[b"default/k%d" % last] == list(range(1, len(mine) + 1))
        assert totals[b"default/k%d" % last] == sum(mine)


def has_written(pipeline: CountingOnKafka, records: int) -> bool:
    return len(pipeline.records(COUNTED)) >= records


def ended(child: subprocess.Popen[bytes]) -> int:
    return child.wait(60)


def test_a_worker_killed_twice_in_the_middle_counts_exactly(pipeline: CountingOnKafka) -> None:
    """Once it keeps its disk, once it loses it; a partition is in a batch, others go on."""
    third = EVENTS // 3
    pipeline.start()
    for fed, lose_store in ((0, False), (third, True)):
        feed(pipeline, range(fed, fed + third // 2))
        until(
            lambda fed=fed: has_written(pipeline, fed + third // 4),  # type: ignore[misc]
            seconds=60,
            what="some of the outputs",
        )
        pipeline.hangs().touch()
        feed(pipeline, range(fed + third // 2, fed + third))
        until(lambda: not pipeline.hangs().exists(), seconds=60, what="a batch is in hand")
        pipeline.kill(lose_store=lose_store)
        assert not has_written(pipeline, fed + third), "it was done before it was killed"
        pipeline.start()
    feed(pipeline, range(2 * third, EVENTS))
    pipeline.settle()

    assert_exact(pipeline, range(EVENTS))


def test_a_worker_that_cannot_tell_what_became_of_a_transaction_goes_on_and_counts_exactly(
    pipeline: CountingOnKafka,
) -> None:
    """It looks what is committed, and folds what is not once more."""
    pipeline.seconds_per_record = 0.0005
    worker = pipeline.start()
    pipeline.home().mkdir(exist_ok=True)
    half = EVENTS // 2
    for number, fate in enumerate(("void", "committed")):
        (pipeline.home() / f"lost-{fate}").write_text("once")
        feed(pipeline, range(number * half, (number + 1) * half))
        pipeline.settle()
        assert pipeline.log().read_text().count("partition_reopened") > number

    assert_exact(pipeline, range(EVENTS))
    assert worker.poll() is None


def test_a_worker_that_cannot_tell_twice_in_a_row_ends(pipeline: CountingOnKafka) -> None:
    worker = pipeline.start()
    feed(pipeline, range(100))
    pipeline.settle()
    lost = pipeline.home() / "lost-void"
    lost.write_text("always")
    feed(pipeline, range(100, 400))

    assert ended(worker) == EXIT_CRASHED
    lost.unlink()
    pipeline.settle()
    assert_exact(pipeline, range(400))


def test_a_broker_that_goes_as_a_worker_begins_is_waited_for(pipeline: CountingOnKafka) -> None:
    hidden = pipeline.home() / "hidden"
    hidden.parent.mkdir()
    hidden.touch()
    feed(pipeline, range(100))
    worker = pipeline.start()
    until(lambda: "kafka_unavailable" in pipeline.log().read_text(), seconds=60)

    hidden.unlink()
    pipeline.settle()

    assert_exact(pipeline, range(100))
    assert worker.poll() is None


def test_a_worker_that_waits_for_a_broker_stops_when_told(pipeline: CountingOnKafka) -> None:
    hidden = pipeline.home() / "hidden"
    hidden.parent.mkdir()
    hidden.touch()
    worker = pipeline.start()
    until(lambda: "kafka_unavailable" in pipeline.log().read_text(), seconds=60)

    worker.send_signal(signal.SIGTERM)

    assert ended(worker) == 0


def test_a_paused_owner_that_wakes_does_not_overwrite_its_successor(
    pipeline: CountingOnKafka,
) -> None:
    """It is fenced: what it had in hand is void, and it ends quietly or joins again."""
    pipeline.seconds_per_record = 0.001
    feed(pipeline, range(EVENTS))
    sleeper = pipeline.start("a")
    until(lambda: has_written(pipeline, EVENTS // 10), seconds=60, what="the first outputs")

    sleeper.send_signal(signal.SIGSTOP)
    pipeline.seconds_per_record = 0.0
    pipeline.start("b")
    until(lambda: has_written(pipeline, EVENTS), seconds=60, what="the successor's outputs")
    assert_exact(pipeline, range(EVENTS))
    sleeper.send_signal(signal.SIGCONT)
    feed(pipeline, range(EVENTS, EVENTS + 200))
    pipeline.settle()

    assert_exact(pipeline, range(EVENTS + 200))
    assert sleeper.poll() in (None, EXIT_CRASHED)


def test_partitions_that_somebody_adds_take_no_key_away_from_its_state(
    pipeline: CountingOnKafka,
) -> None:
    """Of one source only: its partitions still go to whoever has the other source's."""
    pipeline.seconds_per_record = 0.001
    feed(pipeline, range(EVENTS // 2))
    pipeline.start("a")
    until(lambda: has_written(pipeline, EVENTS // 10), seconds=60, what="the first outputs")

    add_partitions(pipeline.settings, [LEFT, COUNTED, changelog(STAGE)], 7)
    pipeline.kill("a")
    # They and these see what the broker has now.
    another = producer(pipeline.settings)
    for number in range(EVENTS // 2, EVENTS):
        topic = prefixed(pipeline.settings, LEFT if number % 2 else RIGHT)
        another.produce(topic, b"%d" % number, b"default/k%d" % (number % KEYS))
    assert another.flush(30) == 0
    pipeline.start("b")
    pipeline.start("c")
    pipeline.settle()

    assert_exact(pipeline, range(EVENTS))
    assert pipeline.ended() == []
    assert "partitions_not_used" in pipeline.log("b").read_text()


def test_two_workers_share_the_partitions_and_a_leaving_one_hands_over(
    pipeline: CountingOnKafka,
) -> None:
    pipeline.seconds_per_record = 0.001
    feed(pipeline, range(EVENTS))
    leaving = pipeline.start("a")
    pipeline.start("b")
    until(lambda: has_written(pipeline, EVENTS // 4), seconds=60, what="a quarter of the outputs")

    leaving.send_signal(signal.SIGTERM)

    assert ended(leaving) == 0
    pipeline.forget("a")
    pipeline.settle()
    assert_exact(pipeline, range(EVENTS))


def test_a_worker_that_lives_but_does_nothing_ends_and_its_work_is_done_by_the_next(
    pipeline: CountingOnKafka,
) -> None:
    """Its group never notices: heartbeats go on beside the batch that hangs."""
    worker = Worker(session_seconds=6, stall_seconds=4)
    pipeline.settings = pipeline.settings.model_copy(update={"worker": worker})
    hanging = pipeline.start()
    feed(pipeline, range(100))
    pipeline.settle()
    pipeline.hangs().touch()
    feed(pipeline, range(100, 400))

    assert ended(hanging) == EXIT_CRASHED
    (said,) = (
        line
        for line in map(json.loads, pipeline.log().read_text().splitlines())
        if line["event"] == "process_stuck"
    )
    assert any(place.startswith("handle:") for place in said["at"])
    pipeline.settle()
    assert_exact(pipeline, range(400))


def test_a_worker_told_to_stop_commits_what_it_has_and_exits_with_0(
    pipeline: CountingOnKafka,
) -> None:
    feed(pipeline, range(100))
    child = pipeline.start()
    pipeline.settle()

    child.send_signal(signal.SIGTERM)

    assert ended(child) == 0
    events = [json.loads(line)["event"] for line in pipeline.log().read_text().splitlines()]
    assert events.count("partition_closed") == 4
    assert events[-1] == "worker_stopped"


def test_state_of_a_changelog_that_was_made_anew_is_refused_with_the_remedy(
    pipeline: CountingOnKafka,
) -> None:
    feed(pipeline, range(100))
    pipeline.settle()
    pipeline.kill()
    name = prefixed(pipeline.settings, changelog(STAGE))
    client = admin(pipeline.settings)
    client.delete_topics([name])[name].result(30)
    until(lambda: name not in client.list_topics(timeout=10).topics, what="the topic is gone")
    ensure_topics(pipeline.settings, [changelog(STAGE)])

    child = pipeline.start()

    assert ended(child) == EXIT_MISCONFIGURED
    (said,) = (
        line["problem"]
        for line in map(json.loads, pipeline.log().read_text().splitlines())
        if line["event"] == "worker_misconfigured"
    )
    assert "delete that directory" in said
    assert str(pipeline.home()) in said


def test_a_source_that_was_made_anew_is_read_from_its_beginning(pipeline: CountingOnKafka) -> None:
    """Its offsets start again; the old topic's watermark must not hide the new records."""
    feed(pipeline, range(100))
    pipeline.settle()
    pipeline.kill()
    names = [prefixed(pipeline.settings, topic) for topic in (LEFT, RIGHT)]
    client = admin(pipeline.settings)
    for deleted in client.delete_topics(names).values():
        deleted.result(30)
    until(
        lambda: not client.list_topics(timeout=10).topics.keys() & set(names), what="both are gone"
    )
    ensure_topics(pipeline.settings, [LEFT, RIGHT])
    feed(pipeline, range(100, 140))

    pipeline.settle()

    assert_exact(pipeline, range(140))
