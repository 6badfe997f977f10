"""A running installation is taken over from the previous release, worker by worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from customeros.ops.digest import read_digest
from customeros.ops.stages import STAGES
from customeros.runtime.topics import find_topics
from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.topics import (
    ASSIGNMENTS,
    DEAD_LETTERS,
    all_topics,
)
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from support.histories import WORKSPACE
from support.identity_workers import IdentityOnKafka
from support.released import OTHER_DIGESTS, RELEASED, read_logs, said
from support.upgrade import adapted, contents, put_on_disk, put_on_kafka
from support.waiting import until
from support.whole_pipeline import RULES, a_pipeline, fingerprint, happen

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

TYPES = "".join(
    f"[workspaces.{WORKSPACE}.identifiers.{name}]\n"
    + "".join(
        f"{field} = {value}\n"
        for field in ("limit", "degree", "priority")
        if (value := getattr(RULES.identifiers.types[name], field)) is not None
    )
    for name in ("email", "device_id")
)


@pytest.fixture
def platform(kafka_bootstrap: str, unique: str, tmp_path: Path) -> Iterator[IdentityOnKafka]:
    made = IdentityOnKafka(kafka_bootstrap, unique, tmp_path, partitions=2, config=TYPES)
    yield made
    made.stop()


@pytest.mark.parametrize("release", sorted(RELEASED.iterdir()), ids=lambda folder: folder.name)
def test_a_rolling_upgrade_loses_and_repeats_nothing(
    platform: IdentityOnKafka, release: Path
) -> None:
    """The state of one stage is on its disk, a little old; of the others only the changelog is."""
    before, meanwhile, after = said()
    anew = a_pipeline()
    happen(anew, [*before, *meanwhile, *after])
    anew.run()
    settings, topics = platform.settings, all_topics(STAGES)
    there = find_topics(settings, topics)
    logs = adapted(read_logs(release), there)
    put_on_kafka(settings, logs, {topic.name: topic for topic in topics})
    put_on_disk(platform.home("state-a"), settings, "state", logs, there)
    refused = len(platform.records(DEAD_LETTERS))

    # The order of docs/upgrade.md: who reads first.
    share = len(after) // 3 + 1
    for number, stage in enumerate(("state", "graph", "resolve")):
        platform.start(f"{stage}-a")
        platform.happen(after[number * share : (number + 1) * share])
        until(
            lambda stage=stage: "partition_opened" in platform.log(f"{stage}-a").read_text(),  # type: ignore[misc]
            seconds=120,
            what=f"{stage} has taken over",
        )
    platform.settle()

    assert contents(platform.records) == contents(anew.records)
    if release.name not in OTHER_DIGESTS:
        assert read_digest(settings).value == fingerprint(anew)
    assert len(platform.records(DEAD_LETTERS)) == refused == 1
    for topic, codec in ((ASSIGNMENTS, ASSIGNMENT), (CUSTOMER_STATE_TOPIC, CUSTOMER_STATE)):
        newest: dict[bytes | None, int] = {}
        for record in platform.records(topic):
            if record.value is not None:
                version = codec.decode(record.value).version
                assert version > newest.get(record.key, 0)
                newest[record.key] = version
