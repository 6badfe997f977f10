"""Do the API's live copies keep up? One that stands still ends the process, and is told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from confluent_kafka import KafkaException, TopicPartition

from customeros.runtime.clients import consumer
from customeros.runtime.errors import Unavailable
from customeros.runtime.progress import Progress, Watch
from customeros.runtime.settings import Settings
from customeros.sdk import LiveCopy

_ANSWER_SECONDS: Final = 5.0


class Copies:
    """
    Live copies, each under a watch of its own: while one reads on, another may hang.

    Args:
        copies: what the API answers from.
    """

    def __init__(self, settings: Settings, copies: Sequence[LiveCopy]) -> None:
        self._copies = {copy.topic.removeprefix(settings.prefix): copy for copy in copies}
        self._broker = consumer(settings)
        self._progress = {
            name: Progress(f"api {name}", settings.worker.patience_seconds) for name in self._copies
        }
        self._watches = [
            Watch(
                self._progress[name],
                waits=partial(self._is_behind, copy),
                stirred=lambda copy=copy: tuple(copy.positions.values()),  # type: ignore[misc]
            )
            for name, copy in self._copies.items()
        ]

    def start(self) -> None:
        """Begin to read, and to look."""
        for copy in self._copies.values():
            copy.start()
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        """End all threads; harmless if they never began."""
        for watch in self._watches:
            watch.stop()
        for copy in self._copies.values():
            copy.stop()

    @property
    def failed(self) -> bool:
        """Whether one has died: stale answers are worse than none."""
        return any(copy.failure is not None for copy in self._copies.values())

    @property
    def trouble(self) -> Mapping[str, str]:
        """
        By topic why its copy is not up to date, in words; empty: it is.

        While the broker is away they answer as they were.
        """
        return {name: self._trouble(name, copy) for name, copy in self._copies.items()}

    def _trouble(self, name: str, copy: LiveCopy) -> str:
        progress = self._progress[name]
        progress.starting = "" if copy.ready else "catches up"
        return "" if copy.ready and progress.away else progress.trouble

    def _is_behind(self, copy: LiveCopy) -> bool:
        """Whether the broker has records that *copy* has not taken."""
        try:
            return any(
                read
                < self._broker.get_watermark_offsets(
                    TopicPartition(copy.topic, partition), _ANSWER_SECONDS
                )[1]
                for partition, read in copy.positions.items()
            )
        except KafkaException as error:
            raise Unavailable("kafka") from error
