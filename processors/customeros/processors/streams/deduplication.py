"""Has this event been folded before? Known by (workspace, source, event id) for a bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from customeros.runtime.stream import Batch, State, Table
from customeros.schemas.event import Event

HOUR_MS: Final = 3_600_000
_MARK_BYTES: Final = 16  # 128 bits: no two events of a lifetime share a mark
_MARK: Final = b"1"
# Rows forgotten per batch. Each batch adds one row for each hour it touches, mostly one.
_ROWS_PER_BATCH: Final = 8
_LAST_HOUR: Final = 2**32 - 1


def _same(value: bytes) -> bytes:
    return value


EVENTS_SEEN: Final = Table("event", _same, _same)
# Key: topic, NUL, hour of `received_at`, offset. Value: marks of the events, one after the other.
EXPIRY: Final = Table("event_expiry", _same, _same)


def first_time(
    state: State, batch: Batch, events: Sequence[Event], *, window_ms: int
) -> list[bool]:
    """
    For each event whether it is seen for the first time, and remember it.

    Args:
        window_ms: an event is known for at least as long, by the `received_at` of its topic's
            own progress: a stage that is behind forgets nothing too early.
    """
    if not events:
        return []
    marks = [_mark(event) for event in events]
    seen = set(state.get_many(EVENTS_SEEN, marks))
    by_hour: dict[int, list[bytes]] = {}
    answers = []
    for event, mark in zip(events, marks, strict=True):
        fresh = mark not in seen
        answers.append(fresh)
        if fresh:
            seen.add(mark)
            state.put(EVENTS_SEEN, mark, _MARK)
            by_hour.setdefault(_hour(event.received_at), []).append(mark)
    topic = batch.topic.name.encode() + b"\0"
    offset = batch.records[0].offset.to_bytes(8, "big")
    for hour, fresh_marks in by_hour.items():
        state.put(EXPIRY, topic + hour.to_bytes(4, "big") + offset, b"".join(fresh_marks))
    _forget(state, topic, min(batch.now, *(event.received_at for event in events)) - window_ms)
    return answers


def _forget(state: State, topic: bytes, horizon_ms: int) -> None:
    """Drop the oldest rows whose hour had ended at the horizon; a few at a time."""
    horizon = _hour(horizon_ms)
    for key, marks in list(state.scan(EXPIRY, topic, limit=_ROWS_PER_BATCH)):
        if int.from_bytes(key[len(topic) : len(topic) + 4], "big") >= horizon:
            break
        for at in range(0, len(marks), _MARK_BYTES):
            state.delete(EVENTS_SEEN, marks[at : at + _MARK_BYTES])
        state.delete(EXPIRY, key)


def _hour(ms: int) -> int:
    return max(0, min(ms // HOUR_MS, _LAST_HOUR))


def _mark(event: Event) -> bytes:
    name = f"{event.workspace}\0{event.source}\0{event.event_id}"
    return blake2b(name.encode(), digest_size=_MARK_BYTES).digest()
