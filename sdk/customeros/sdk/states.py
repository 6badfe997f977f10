"""The states of one workspace as a live copy: what customers and organisations have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec

from customeros.schemas.codec import AvroCodec
from customeros.schemas.topics import topic_key
from customeros.sdk.livecopy import LiveCopy

S = TypeVar("S", bound=msgspec.Struct)


class States(Generic[S]):
    """
    A context manager: within, its copies are kept up.

    Args:
        states: of the topic of `codec`; `beside`: further copies that look-ups need.
    """

    def __init__(
        self, workspace: str, codec: AvroCodec[S], states: LiveCopy, *beside: LiveCopy
    ) -> None:
        self.workspace = workspace
        self._codec = codec
        self._states = states
        self._copies = (states, *beside)

    def __enter__(self) -> Self:
        for copy in self._copies:
            copy.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for copy in self._copies:
            copy.stop()

    def wait_ready(self, timeout: float | None = None) -> bool:
        """
        Wait until all that was there at the start has been read; False after *timeout* seconds.

        Raises:
            LiveCopyFailed: it will never be.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for copy in self._copies:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not copy.wait_ready(left):
                return False
        return True

    def _changed(self, *, from_start: bool) -> Iterator[tuple[str, S | None]]:
        """Names as their states change, each with its newest; None: it was forgotten."""
        start = topic_key(self.workspace, "")
        changes = self._states.changes(from_start=from_start)
        try:
            for key, value in changes:
                if key.startswith(start):
                    name = key.partition(b"/")[2].decode()
                    yield name, None if value is None else self._codec.decode(value)
        finally:
            changes.close()
