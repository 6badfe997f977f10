"""An event with its customer, as the bytes of `events.resolved`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from customeros.schemas.codec import EVENT, HEADER_BYTES, RESOLVED_EVENT
from customeros.schemas.compiled import long_bytes
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
    out = [_HEADER, raw[HEADER_BYTES:], _text(customer_id), long_bytes(assignment_version)]
    if enrichment:
        out.append(long_bytes(len(enrichment)))
        for name, value in enrichment.items():
            out += (_repeated(name), _repeated(value))
    out.append(_NO_MAP)
    return b"".join(out)


def _text(text: str) -> bytes:
    data = text.encode()
    return long_bytes(len(data)) + data


# What follows from an event alone are a few names, and values of 100 characters that come again.
_repeated: Final = lru_cache(maxsize=4096)(_text)
