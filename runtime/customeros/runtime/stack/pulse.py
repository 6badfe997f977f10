"""Does a process still answer? One that lives and says nothing for long is frozen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

# As many questions in a row without any answer make a process frozen.
_SILENT_ASKS: Final = 6


class Pulse:
    """
    Asks one process again and again, from a thread of its own, as each question may have to wait.

    Questions are counted, not seconds: while this process itself was paused, nobody was asked.

    Args:
        answers: whether it says anything at all within so many seconds; a refusal is an answer.
        patience_seconds: without any answer for so long it is frozen.
    """

    def __init__(self, answers: Callable[[float], bool], *, patience_seconds: float) -> None:
        self._answers = answers
        self._interval = patience_seconds / _SILENT_ASKS
        self._silent = 0
        self._stopping = threading.Event()

    @property
    def frozen(self) -> bool:
        """Whether it has been silent for too long."""
        return self._silent >= _SILENT_ASKS

    def start(self) -> None:
        """Ask until `stop`."""
        threading.Thread(target=self._ask_always, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()

    def ask(self) -> None:
        """Ask once."""
        self._silent = 0 if self._answers(self._interval) else self._silent + 1

    def _ask_always(self) -> None:
        wait = self._interval
        while not self._stopping.wait(wait):
            begun = time.monotonic()
            self.ask()
            wait = max(0.0, begun + self._interval - time.monotonic())
