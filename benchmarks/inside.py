"""The stages of identity in this process, on RocksDB and without a broker: what they alone cost."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from customeros.ops.stages import STAGES
from customeros.runtime.config import Config
from customeros.runtime.settings import Settings
from customeros.runtime.stream.fold import PartitionFold
from customeros.runtime.stream.memory import Stored
from customeros.runtime.stream.rocks import open_store
from customeros.runtime.stream.store import Position
from customeros.schemas.codec import EVENT
from customeros.schemas.event import Event, Family, Personal
from customeros.schemas.identifier import Identifier, identifier_key
from customeros.schemas.topics import EVENTS, Topic, topic_key

_BATCH: Final = 500
_SECRET: Final = b"a key of the benchmarks"
_BEGIN_MS: Final = 1_767_225_600_000
_NUMBERS: Final = count()


def an_event(kind: str, *identifiers: Identifier) -> Event:
    """One that nobody had before, a millisecond after the last."""
    number = next(_NUMBERS)
    return Event(
        workspace="default",
        source="demo",
        event_id=f"m-{number}",
        family=Family.BEHAVIORAL,
        kind=kind,
        name="Viewed",
        occurred_at=_BEGIN_MS + number,
        received_at=_BEGIN_MS + number,
        identifier_keys=tuple(identifier_key(_SECRET, found) for found in identifiers),
        personal=Personal(identifiers=identifiers),
    )


class Inside:
    """
    One partition of every stage.

    Args:
        sent: records by topic, of all that stages sent.
        cpu_seconds: by stage.
        largest_bytes: of any value that was sent or stored, by topic or `STAGE's state`.
    """

    def __init__(self, folder: Path) -> None:
        config, settings = Config({}), Settings(home=folder)
        processors = [build(config, settings) for build in STAGES.values()]
        self.sent: Counter[str] = Counter()
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        self.largest_bytes: dict[str, int] = {}
        self._sources = {p.stage: tuple(p.sources) for p in processors}
        self._stores = {
            p.stage: open_store(folder / p.stage, cache_bytes=settings.worker.cache_mb << 20)
            for p in processors
        }
        self._folds = {p.stage: PartitionFold(p, 0, self._stores[p.stage]) for p in processors}
        self._queues: defaultdict[Topic, list[Stored]] = defaultdict(list)
        self._offsets: Counter[str] = Counter()

    def happen(self, events: Sequence[Event]) -> float:
        """Take *events* through every stage, until nothing is left to do; CPU seconds of all."""
        before = sum(self.cpu_seconds.values())
        for event in events:
            key = topic_key(event.workspace, event.identifier_keys[0])
            self._send(EVENTS[event.family], key, EVENT.encode(event))
        while any(self._turn(stage) for stage in self._folds):
            pass
        return sum(self.cpu_seconds.values()) - before

    def close(self) -> None:
        for store in self._stores.values():
            store.close()

    def _turn(self, stage: str) -> bool:
        """Let *stage* read all it has, in transactions as under load; whether there was any."""
        fold, store = self._folds[stage], self._stores[stage]
        found = False
        for topic in self._sources[stage]:
            queue, self._queues[topic] = self._queues[topic], []
            for at in range(0, len(queue), _BATCH):
                found = True
                begun = time.process_time()
                fold.fold(topic, queue[at : at + _BATCH], time.time_ns() // 1_000_000)
                sealed = fold.seal()
                store.write(sealed.writes, Position(self._offsets[stage]))
                fold.settle()
                self.cpu_seconds[stage] += time.process_time() - begun
                self._offsets[stage] += 1
                for value in sealed.writes.values():
                    self._look(f"{stage}'s state", value)
                for output in sealed.outputs:
                    self.sent[output.topic.name] += 1
                    self._look(output.topic.name, output.value)
                    self._send(output.topic, output.key, output.value)
        return found

    def _send(self, topic: Topic, key: bytes, value: bytes | None) -> None:
        if any(topic in sources for sources in self._sources.values()):
            self._queues[topic].append(Stored(self._offsets[topic.name], key, value, 0))
            self._offsets[topic.name] += 1

    def _look(self, where: str, value: bytes | None) -> None:
        size = len(value or b"")
        if size > self.largest_bytes.get(where, 0):
            self.largest_bytes[where] = size
