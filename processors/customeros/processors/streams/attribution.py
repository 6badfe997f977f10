"""An event with its customer, as the bytes of `events.resolved`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import Final

from customeros.schemas.avro_values import long_bytes
from customeros.schemas.codec import EVENT, HEADER_BYTES, RESOLVED_EVENT
from customeros.schemas.event import Event, ResolvedEvent

_EVENT_HEADER: Final = EVENT.newest.id.to_bytes(HEADER_BYTES, "big")
_HEADER: Final = RESOLVED_EVENT.newest.id.to_bytes(HEADER_BYTES, "big")
_NO_MAP: Final = b"\0"


def resolved_bytes(
    event: Event,
    raw: bytes | None,
    *,
    customer_id: str,
    assignment_version: int,
    enrichment: Mapping[str, str],
) -> bytes:
    """
    The resolved event in Avro, with the registry's header.

    Args:
        raw: the event as it came; taken over as it is where it is of the newest version, since
            the event is the first field of what is written. That halves the stage's encoding.
    """
    if raw is None or raw[:HEADER_BYTES] != _EVENT_HEADER:
        return RESOLVED_EVENT.encode(
            ResolvedEvent(
                event=event,
                customer_id=customer_id,
                assignment_version=assignment_version,
                enrichment=dict(enrichment),
            )
        )
    told = _told(customer_id, assignment_version), _facts(tuple(enrichment.items()))
    return b"".join((_HEADER, raw[HEADER_BYTES:], *told))


@lru_cache(maxsize=4096)
def _told(customer_id: str, assignment_version: int) -> bytes:
    return _text(customer_id) + long_bytes(assignment_version)


# What follows from events alone are a few names, and values of 100 characters that come again.
@lru_cache(maxsize=1024)
def _facts(facts: tuple[tuple[str, str], ...]) -> bytes:
    if not facts:
        return _NO_MAP
    texts = map(_text, chain.from_iterable(facts))
    return b"".join((long_bytes(len(facts)), *texts, _NO_MAP))


def _text(text: str) -> bytes:
    data = text.encode()
    return long_bytes(len(data)) + data
