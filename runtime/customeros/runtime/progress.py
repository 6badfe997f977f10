"""Does this process get on with its work? One that lives and does nothing is ended, and told of."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

import structlog

from customeros.runtime.ending import EXIT_CRASHED, end_at_once
from customeros.runtime.errors import Unavailable
from customeros.runtime.metrics import PROGRESS_AGE

_LOG: Final = structlog.get_logger()
# So many looks before patience ends; and from the first of so many parts of it on, others see it.
_LOOKS: Final = 12
_TOLD_AFTER: Final = 3


class Standing(NamedTuple):
    """
    How long nothing has been done although work waited.

    Args:
        sign: of progress; any value that is another one as soon as something has been done.
        seconds: 0 while work is done, or none waits, or what it needs is away.
    """

    sign: object = None
    seconds: float = 0.0


def judge(before: Standing, sign: object, *, waits: bool, elapsed: float) -> Standing:
    """
    How it stands now.

    Args:
        waits: whether work waits that could be done.
        elapsed: s since *before*, those not counted in which this process was not running.
    """
    if sign != before.sign or not waits:
        return Standing(sign)
    return Standing(sign, before.seconds + elapsed)


class Progress:
    """
    What a process tells of its own work; any thread may tell.

    Attributes:
        starting: what it does before it can work, as in `joins its group`; empty: it can.
        standing: by the last look at it.
    """

    def __init__(self, stage: str, patience_seconds: float) -> None:
        self.stage = stage
        self.patience_seconds = patience_seconds
        self.starting = "starts"
        self.standing = Standing()
        self.moves = 0
        self._away: dict[str, bool] = {}

    def moved(self) -> None:
        """Something was done."""
        self.moves += 1

    def waits_for(self, dependency: str, *, away: bool) -> None:
        """*dependency* does not answer, or does again; while one is away, nothing stands still."""
        self._away[dependency] = away

    @property
    def away(self) -> str:
        """The dependencies that it waits for, as in `kafka`; empty: none."""
        return ", ".join(name for name, away in tuple(self._away.items()) if away)

    @property
    def trouble(self) -> str:
        """Why it is not at work, in words; empty: it is, or there is none."""
        if self.away:
            return f"waits for {self.away}"
        if self.standing.seconds >= self.patience_seconds / _TOLD_AFTER:
            return f"stands still for {self.standing.seconds:.0f} s while records wait"
        return self.starting


class Watch:
    """
    Looks at a process from a thread of its own, which no work can block.

    Args:
        waits: whether there is work that this process has not done; it raises Unavailable where
            that cannot be known. Asked only when nothing has been done since the last look.
        stirred: see `Standing.sign`; progress within one piece of work.
        loop: the event loop that does the work; one that does not turn stands still.
        give_up: called once when patience has ended.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        waits: Callable[[], bool],
        stirred: Callable[[], object] = lambda: None,
        loop: asyncio.AbstractEventLoop | None = None,
        give_up: Callable[[Progress], None] | None = None,
    ) -> None:
        self._progress = progress
        self._waits = waits
        self._stirred = stirred
        self._loop = loop
        self._turned = True
        self._unanswered = ""
        self._give_up = give_up or _end
        self._stopping = threading.Event()
        self._gauge = PROGRESS_AGE.labels(progress.stage)

    def start(self) -> None:
        """Look until `stop`."""
        threading.Thread(target=self._look_always, name="watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more; harmless if it never began."""
        self._stopping.set()

    def look(self, elapsed: float) -> None:
        """Judge what was done in the last *elapsed* seconds."""
        progress = self._progress
        sign = (progress.moves, self._stirred())
        still = sign == progress.standing.sign or bool(self._unanswered)
        waits = self._is_blocked() or (still and self._work_waits())
        progress.standing = judge(
            progress.standing, sign, waits=waits and not progress.away, elapsed=elapsed
        )
        self._gauge.set(progress.standing.seconds)
        if progress.standing.seconds >= progress.patience_seconds:
            self._stopping.set()
            self._give_up(progress)

    def _look_always(self) -> None:
        interval = self._progress.patience_seconds / _LOOKS
        before = time.monotonic()
        while not self._stopping.wait(interval):
            now = time.monotonic()
            # A process that was paused was not standing still.
            self.look(min(now - before, 2 * interval))
            before = now

    def _work_waits(self) -> bool:
        try:
            waits = self._waits()
        except Unavailable as error:
            self._progress.waits_for(error.dependency, away=True)
            self._unanswered = error.dependency
            return False
        if self._unanswered:
            self._progress.waits_for(self._unanswered, away=False)
            self._unanswered = ""
        return waits

    def _is_blocked(self) -> bool:
        """Whether the loop has not turned since the last look."""
        if self._loop is None or not self._turned:
            return self._loop is not None
        self._turned = False
        self._loop.call_soon_threadsafe(self._turn)
        return False

    def _turn(self) -> None:
        self._turned = True


def _end(progress: Progress) -> NoReturn:
    """End this process at once, and say where its main thread is; files and lines, no values."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    at: list[str] = []
    while frame is not None:
        at.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    _LOG.error(
        "process_stuck",
        stage=progress.stage,
        seconds=round(progress.standing.seconds),
        at=at[:10],
    )
    end_at_once(EXIT_CRASHED)
