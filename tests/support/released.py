"""
What an installation holds at a moment in the middle of its work, as bytes: topics and home.

`python -m support.released`, run in `tests/`, writes `released/v1` anew with the code as it is.
That is done before the first release only: from then on it stays, and each release adds its own.
`released/v0` is what the code wrote on 2026-11-22.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from customeros.runtime.generation import put_in_force
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.runtime.stack.runfile import ProcessState, Run, write_run
from customeros.runtime.stream.memory import InMemoryBroker, InMemoryPipeline, Stored
from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Evidence
from customeros.schemas.topics import EVENTS
from support.histories import NOON, WORKSPACE, an_event
from support.organisations import of_account
from support.promises import a_split, an_erasure
from support.shop import a_shop
from support.whole_pipeline import STAGES, a_pipeline, happen

RELEASED: Final = Path(__file__).parent.parent / "released"
# Those whose digests were reckoned otherwise than now.
OTHER_DIGESTS: Final = frozenset({"v0"})
Logs = Mapping[tuple[str, int], Sequence[Stored]]

_SEED: Final = 1
_PARTITIONS: Final = 2
# Few enough that each stage has left others' records unread.
_STEPS: Final = 60
_CROWD: Final = 60


class Said(NamedTuple):
    """What happens: all of it is read before the moment, under way at it, or comes after it."""

    before: Sequence[Event | Evidence]
    meanwhile: Sequence[Event | Evidence]
    after: Sequence[Event | Evidence]


def said() -> Said:
    """A shop's customers and organisations, and two who want to be forgotten."""
    history = a_shop(_SEED, people=20, events_each=2)
    # One organisation with so many members that their totals are kept, and one that belongs to it.
    members = [
        of_account(
            an_event(
                f"member {number}",
                [Identifier("user_id", f"user-{number}")],
                kind="group",
                occurred_at=NOON + number,
            ),
            "hq" if number < _CROWD else "branch",
            {} if number < _CROWD else {"parent_id": "hq"},
        )
        for number in range(_CROWD + 3)
    ]
    two_people = an_event("two", [Identifier("user_id", "user-0"), Identifier("user_id", "user-1")])
    split = a_split([Identifier("user_id", "user-3"), Identifier("email", "3@x.example")], 1)
    everything = [*history.events, *members[:_CROWD]]
    random.Random(_SEED).shuffle(everything)
    erasures = [an_erasure(Identifier("email", f"{number}@x.example")) for number in (1, 2)]
    third = len(everything) // 3
    return Said(
        [*everything[third:], *members[_CROWD:], two_people, split, erasures[0]],
        [*everything[: third // 2]],
        [*everything[third // 2 : third], erasures[1]],
    )


def in_the_middle(happening: Said) -> InMemoryPipeline:
    """A pipeline at the moment."""
    pipeline = a_pipeline(_PARTITIONS)
    happen(pipeline, happening.before)
    pipeline.produce(next(iter(EVENTS.values())), WORKSPACE.encode(), b"no event")
    pipeline.run()
    happen(pipeline, happening.meanwhile)
    order = random.Random(_SEED)
    workers = [worker for stage in STAGES for worker in pipeline.workers(stage)]
    for _ in range(_STEPS):
        pipeline.now += 1
        order.choice(workers).step(pipeline.now, order)
    return pipeline


def continued(logs: Logs) -> InMemoryPipeline:
    """A pipeline over what *logs* hold: its stores are made of the changelogs."""
    return a_pipeline(_PARTITIONS, broker=InMemoryBroker(partitions=_PARTITIONS, logs=logs))


def read_logs(folder: Path) -> dict[tuple[str, int], list[Stored]]:
    """The records of each topic and partition, as `write` left them in *folder*."""
    logs: dict[tuple[str, int], list[Stored]] = {}
    for line in (folder / "topics.jsonl").read_text().splitlines():
        topic, partition, offset, key, value, timestamp = json.loads(line)
        record = Stored(offset, _bytes(key), _bytes(value), timestamp)
        logs.setdefault((topic, partition), []).append(record)
    return logs


def write(folder: Path) -> None:
    """Write topics and home of an installation in the middle of its work."""
    pipeline = in_the_middle(said())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "topics.jsonl").write_text("".join(_lines(pipeline.broker.logs)))
    home = folder / "home"
    read_secrets(Settings(home=home))
    (home / ".secrets.lock").unlink()
    put_in_force(home, 2)
    process = ProcessState("kafka", "ready", 4711, 9092, 1, 1.5, "kafka://127.0.0.1:9092", "k.log")
    write_run(home, Run(4710, "12345", 1.5, (process,)))


def _lines(logs: Logs) -> Iterator[str]:
    for (topic, partition), records in sorted(logs.items()):
        for record in records:
            fields = (record.offset, _text(record.key), _text(record.value), record.timestamp)
            yield json.dumps([topic, partition, *fields]) + "\n"


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


if __name__ == "__main__":
    write(RELEASED / "v1")
