"""resolve, graph and state as processes on real Kafka, any number of each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from customeros.ops.lag import stage_lags
from customeros.ops.stages import STAGES
from customeros.runtime.settings import Kafka, Settings, Worker
from customeros.schemas.codec import EVENT, EVIDENCE
from customeros.schemas.event import Event
from customeros.schemas.identity import Evidence
from customeros.schemas.topics import EVENTS, topic_key
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.delivery import Workers
from support.histories import WORKSPACE
from support.offline import PRIORITIES
from support.waiting import until

_ARRIVAL_SECONDS = 240


class IdentityOnKafka(Workers):
    """A platform of its own topics, whose workers are named `STAGE-x`."""

    def __init__(
        self, bootstrap: str, prefix: str, home: Path, *, partitions: int, config: str = ""
    ) -> None:
        home.mkdir(exist_ok=True)
        file = home / "customeros.toml"
        sources = {"web": 0, **{source: number for (_, source), number in PRIORITIES.items()}}
        file.write_text(
            config
            + "".join(
                f"[workspaces.{WORKSPACE}.sources.{source}]\npriority = {priority}\n"
                for source, priority in sources.items()
            )
        )
        kafka = Kafka(bootstrap=bootstrap, topic_prefix=prefix, partitions=partitions)
        worker = Worker(session_seconds=6)
        super().__init__(Settings(home=home, config=file, kafka=kafka, worker=worker), STAGES)

    def start(self, *names: str) -> None:
        """Start these workers."""
        for name in names:
            stage = name.partition("-")[0]
            self.run(name, [sys.executable, "-m", "customeros.ops", "worker", stage], {})

    def happen(self, said: Sequence[Event | Evidence]) -> None:
        """Send events as the collector would, and what persons say as the API would."""
        for one in said:
            if isinstance(one, Event):
                key = topic_key(WORKSPACE, one.identifier_keys[0])
                self.produce(EVENTS[one.family], key, EVENT.encode(one))
            else:
                self.produce(EVIDENCE_TOPIC, WORKSPACE.encode(), EVIDENCE.encode(one))
        self.flush()

    def settle(self) -> None:
        """Wait until the stages have read all there is; a worker that has ended failed the test."""
        until(self._is_settled, seconds=_ARRIVAL_SECONDS, what="all is read", every=0.5)

    def unread(self, stage: str) -> int:
        """Records that *stage* has yet to read."""
        return stage_lags(self.settings)[stage]

    def _is_settled(self) -> bool:
        assert not self.ended(), [self.log(name).read_text()[-2_000:] for name in self.ended()]
        lags = stage_lags(self.settings)
        return not any(lags[stage] for stage in STAGES)
