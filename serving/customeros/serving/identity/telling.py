"""Evidence by hand on its topic."""

from __future__ import annotations

import threading
from typing import Final

from anyio.to_thread import run_sync
from confluent_kafka import Producer

from customeros.runtime import clients
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import EVIDENCE
from customeros.schemas.identity import Evidence
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC

_SECONDS: Final = 5.0


class Telling:
    """
    Puts evidence on its topic; connects at the first.

    Raises:
        Unavailable: the brokers did not acknowledge it in time; it may have arrived all the same.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connecting = threading.Lock()
        self._producer: Producer | None = None

    async def __call__(self, evidence: Evidence) -> None:
        await run_sync(self._send, evidence)

    def _send(self, evidence: Evidence) -> None:
        topic = prefixed(self._settings, EVIDENCE_TOPIC)
        record = topic, evidence.workspace.encode(), EVIDENCE.encode(evidence)
        clients.deliver(self._connected(), [record], seconds=_SECONDS)

    def _connected(self) -> Producer:
        with self._connecting:
            if self._producer is None:
                self._producer = clients.producer(
                    self._settings,
                    **{"linger.ms": 0, "delivery.timeout.ms": int(_SECONDS * 1000)},
                )
            return self._producer
