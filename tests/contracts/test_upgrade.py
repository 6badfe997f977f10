"""What a release has written is read by this one, which goes on where that one was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from customeros.processors.streams import (
    account_parts,
    account_totals,
    accounts,
    deduplication,
    graph,
    identifier,
    state,
)
from customeros.runtime.generation import in_force
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.runtime.stack.runfile import ProcessState, read_run
from customeros.runtime.stream import Table
from customeros.schemas import codec
from customeros.schemas.codec import AvroCodec
from customeros.schemas.topics import CUSTOMER_STATE, DEAD_LETTERS, TOPICS, changelog
from support.released import OTHER_DIGESTS, RELEASED, continued, read_logs, said
from support.upgrade import contents
from support.whole_pipeline import STAGES, a_pipeline, fingerprint, happen, processors, states

CODECS: dict[str, AvroCodec[Any]] = {
    found.name: found for found in vars(codec).values() if isinstance(found, AvroCodec)
}
MODULES: dict[str, tuple[ModuleType, ...]] = {
    "resolve": (identifier, deduplication, account_parts),
    "graph": (graph,),
    "state": (state, accounts, account_totals),
}
releases = pytest.mark.parametrize(
    "release", sorted(RELEASED.iterdir()), ids=lambda folder: folder.name
)


def tables(stage: str) -> dict[bytes, Table[Any]]:
    found = (value for module in MODULES[stage] for value in vars(module).values())
    return {table.prefix: table for table in found if isinstance(table, Table)}


def values(release: Path, name: str) -> Iterable[tuple[bytes, bytes]]:
    for (topic, _), records in read_logs(release).items():
        if topic == name:
            yield from ((r.key or b"", r.value) for r in records if r.value is not None)


@releases
def test_every_record_of_every_public_topic_is_read(release: Path) -> None:
    for topic in TOPICS:
        if topic.schema is not None:
            found = [value for _, value in values(release, topic.name) if value != b"no event"]
            assert found, topic.name
            for value in found:
                CODECS[topic.schema].decode(value)


@releases
def test_every_record_of_every_internal_topic_is_read(release: Path) -> None:
    for processor in processors():
        for topic, decode in processor.sources.items():
            if topic.schema is None:
                found = [value for _, value in values(release, topic.name)]
                assert found, topic.name
                for value in found:
                    decode(value)


@releases
def test_state_of_every_table_of_every_stage_is_read(release: Path) -> None:
    for stage in STAGES:
        known, seen = tables(stage), set()
        for key, value in values(release, changelog(stage).name):
            prefix = key[: key.index(b"\0") + 1]
            seen.add(prefix)
            if table := known.get(prefix):
                table.decode(value)
        assert known.keys() - seen == set()


@releases
def test_work_goes_on_where_it_was_left(release: Path) -> None:
    """From its state, with the messages that were on their way between its stages."""
    before, meanwhile, after = said()
    anew = a_pipeline()
    happen(anew, [*before, *meanwhile, *after])
    anew.run()

    upgraded = continued(read_logs(release))
    refused = len(upgraded.records(DEAD_LETTERS))
    known = len(upgraded.records(CUSTOMER_STATE))
    upgraded.run()
    assert len(upgraded.records(CUSTOMER_STATE)) > known
    happen(upgraded, after)
    upgraded.run()

    assert len(upgraded.records(DEAD_LETTERS)) == refused
    assert contents(upgraded.records) == contents(anew.records)
    if release.name not in OTHER_DIGESTS:
        assert states(upgraded) == states(anew)
        assert fingerprint(upgraded) == fingerprint(anew)


@releases
def test_a_home_keeps_its_keys_its_generation_and_what_runs_in_it(
    release: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(release / "home", home)
    credentials = json.loads((home / "credentials.json").read_text())

    secrets = read_secrets(Settings(home=home))

    assert credentials == {"write_key": secrets.write_key, "api_token": secrets.api_token}
    assert secrets.master_key.decode() == (release / "home/secrets/master.key").read_text().strip()
    assert in_force(home) == 2
    run = read_run(home)
    assert run is not None
    assert run.processes == (
        ProcessState("kafka", "ready", 4711, 9092, 1, 1.5, "kafka://127.0.0.1:9092", "k.log"),
    )
