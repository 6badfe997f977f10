"""A resolved event's bytes are Avro's, whichever way they were made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from customeros.processors.streams.attribution import resolved_bytes
from customeros.schemas.codec import EVENT, RESOLVED_EVENT
from customeros.schemas.event import Event, ResolvedEvent
from support.structs import a_value_of


@given(a_value_of(ResolvedEvent))
def test_taking_the_event_s_bytes_over_is_encoding_it(resolved: ResolvedEvent) -> None:
    """The event is the first field of what is written."""
    raw = EVENT.encode(resolved.event)

    assert _bytes(resolved, raw) == RESOLVED_EVENT.encode(resolved)
    assert _bytes(resolved, None) == RESOLVED_EVENT.encode(resolved)


@given(a_value_of(Event), st.binary(max_size=20))
def test_an_event_of_another_version_is_encoded_anew(event: Event, raw: bytes) -> None:
    """Its bytes are not those of the schema that is written."""
    resolved = ResolvedEvent(event=event, customer_id="c1", assignment_version=0)

    assert RESOLVED_EVENT.decode(_bytes(resolved, b"\0\0\0\xff\xff" + raw)) == resolved


def _bytes(resolved: ResolvedEvent, raw: bytes | None) -> bytes:
    return resolved_bytes(
        resolved.event,
        raw,
        customer_id=resolved.customer_id,
        assignment_version=resolved.assignment_version,
        enrichment=resolved.enrichment,
    )
