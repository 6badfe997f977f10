"""Who is one customer, on real Kafka: many workers, kills and partition counts, one digest."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from customeros.ops.digest import read_digest
from customeros.processors.identity.rules import Rules
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import ASSIGNMENT, RESOLVED_EVENT
from customeros.schemas.event import Event
from customeros.schemas.identity import Evidence
from customeros.schemas.topics import ASSIGNMENTS, DEAD_LETTERS, RESOLVED
from support.histories import WORKSPACE
from support.identity_workers import IdentityOnKafka
from support.offline import Offline
from support.promises import History
from support.shop import a_shop
from support.waiting import until
from support.whole_pipeline import a_pipeline, check, fingerprint, happen

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SEED = 20261122
STAGES = ("resolve", "graph", "state")
KILLS = 5


@pytest.fixture(scope="module")
def history() -> History:
    return a_shop(SEED, people=100, events_each=12)


@pytest.fixture(scope="module")
def expected(history: History) -> str:
    """The digest of the same events in memory, which is what the offline judge says."""
    rules = Rules(workspace=WORKSPACE)
    pipeline: InMemoryPipeline = a_pipeline(4, rules)
    happen(pipeline, history.said)
    pipeline.run()
    check(pipeline, Offline(history.events, rules, history.told))
    return fingerprint(pipeline)


def shuffled(history: History, order: random.Random) -> list[Event | Evidence]:
    """All of it, a tenth twice, in any order."""
    said = history.said
    sent = [*said, *order.sample(said, len(said) // 10)]
    order.shuffle(sent)
    return sent


@pytest.fixture
def platform(
    request: pytest.FixtureRequest, kafka_bootstrap: str, unique: str, tmp_path: Path
) -> Iterator[IdentityOnKafka]:
    made = IdentityOnKafka(kafka_bootstrap, unique, tmp_path, partitions=request.param)
    yield made
    made.stop()


@pytest.mark.parametrize("platform", [4], indirect=True)
def test_two_workers_of_each_stage_killed_at_random_give_the_offline_answer(
    platform: IdentityOnKafka, history: History, expected: str
) -> None:
    """Each kill moves partitions to the other worker, and back when the dead one is there again."""
    order = random.Random(SEED)
    names = [f"{stage}-{which}" for stage in STAGES for which in "ab"]
    sent = shuffled(history, order)
    share = len(sent) // KILLS + 1
    platform.start(*names)

    for kill in range(KILLS):
        part = sent[kill * share : (kill + 1) * share]
        platform.happen(part)
        until(lambda: platform.unread("resolve") < share, seconds=120, what="work has begun")
        victim = order.choice(names)
        platform.kill(victim, lose_store=order.random() < 0.5)
        platform.start(victim)
    platform.settle()

    assert read_digest(platform.settings).value == expected
    assert platform.records(DEAD_LETTERS) == []
    seen = Counter(
        RESOLVED_EVENT.decode(record.value or b"").event.event_id
        for record in platform.records(RESOLVED)
    )
    assert seen == Counter(event.event_id for event in history.events)
    versions: dict[str, int] = {}
    for record in platform.records(ASSIGNMENTS):
        said = ASSIGNMENT.decode(record.value or b"")
        assert said.version > versions.get(said.key, 0)
        versions[said.key] = said.version


@pytest.mark.parametrize("platform", [1, 16], indirect=True)
def test_the_number_of_partitions_does_not_show(
    platform: IdentityOnKafka, history: History, expected: str
) -> None:
    platform.happen(shuffled(history, random.Random(platform.settings.kafka.partitions)))
    platform.start(*(f"{stage}-a" for stage in STAGES))
    platform.settle()

    assert read_digest(platform.settings).value == expected
