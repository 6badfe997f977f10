"""When have two generations folded the same events, so that they can be compared?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from customeros.ops.digest import COMPARED, read_facts
from customeros.ops.lag import READS, stage_lags, unread
from customeros.ops.replay.comparing import Comparison, compare
from customeros.ops.replay.decisions import missing, tell
from customeros.ops.spans import Place, Span, patiently, spans
from customeros.ops.stages import STAGES
from customeros.runtime.settings import Settings
from customeros.schemas.identity import Evidence
from customeros.schemas.topics import CHANGES, EVENTS

_LOOK_SECONDS: Final = 1.0
# All that moves while anything is folded; dead letters are of both.
_WATCHED: Final = tuple(
    dict.fromkeys((*(topic for stage in STAGES for topic in READS[stage]), *COMPARED, CHANGES))
)


class Unsettled(Exception):
    """Both never came to rest at the same events; the text says what to do."""


class Progress(NamedTuple):
    """
    How far a rebuild is.

    Args:
        lags: records that each stage has yet to read.
        folded: events that were folded so far, `per_second` since the last look.
    """

    lags: Mapping[str, int]
    folded: int
    per_second: float


def settle(
    running: Settings,
    rebuilt: Settings,
    *,
    patience: float,
    show: Callable[[Progress], None],
    wait: Callable[[float], None],
) -> Comparison:
    """
    Wait until *rebuilt* has caught up and both are at rest, and compare them there.

    What people decide meanwhile is handed over.

    Args:
        patience: seconds without progress after which it is given up.
        wait: for so many seconds; what it raises ends the waiting.

    Raises:
        Unsettled: there was no such moment.
        Unavailable: the broker does not answer.
    """
    before, looked_at = 0, time.monotonic()
    least, since = -1, looked_at
    told: list[Evidence] = []
    while True:
        lags, folded = patiently(lambda: (stage_lags(rebuilt), _folded(rebuilt)))
        now = time.monotonic()
        rate = (folded - before) / (now - looked_at) if before else 0.0
        before, looked_at = folded, now
        show(Progress(lags, folded, rate))
        if not any(lags.values()):
            undecided = patiently(lambda: missing(running, rebuilt))
            # What was told and is still missing, the rebuild does not take: that is a difference.
            if undecided != told:
                tell(rebuilt, undecided)
                told = undecided
            elif (at := patiently(lambda: _at_rest(running, rebuilt))) is not None:
                return compare(read_facts(running, at), read_facts(rebuilt, at))
        left = sum(lags.values())
        if least < 0 or left < least:
            least, since = left, now
        if now - since > patience:
            raise Unsettled(_unsettled(running, rebuilt, patience, left))
        wait(_LOOK_SECONDS)


def _at_rest(running: Settings, rebuilt: Settings) -> dict[Place, Span] | None:
    """What the topics hold, if nothing moved while every stage of both had nothing left to read."""
    before = _held(running, rebuilt)
    if any(any(stage_lags(each, STAGES).values()) for each in (running, rebuilt)):
        return None
    return before if _held(running, rebuilt) == before else None


def _held(running: Settings, rebuilt: Settings) -> dict[Place, Span]:
    return spans(running, _WATCHED) | spans(rebuilt, _WATCHED)


def _folded(settings: Settings) -> int:
    there = spans(settings, EVENTS.values())
    return sum(span.start for span in unread(settings, "resolve", there).values())


def _unsettled(running: Settings, rebuilt: Settings, patience: float, left: int) -> str:
    return (
        f"for {patience:g} s generation {rebuilt.build} came no nearer, {left:,} records behind, "
        f"and there was no moment at which it and generation {running.build} had folded the same "
        "events: let the senders, or the collector, pause for some seconds (the SDKs keep what "
        "they cannot send), or choose a quieter hour; then `customeros replay` again, which goes on"
    )
