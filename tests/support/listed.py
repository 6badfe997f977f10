"""States and the entries of their lists, as a consumer reads them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from customeros.processors.profile.entries import TIME_BYTES, Entry, Listed, encoder
from customeros.schemas.codec import CUSTOMER_STATE, AvroCodec
from customeros.schemas.customer import OpenThing, TimelineEntry

S = TypeVar("S", bound=msgspec.Struct)


def as_read(codec: AvroCodec[S], listed: Listed[S]) -> S:
    """The state of version 0."""
    return codec.decode(encoder(codec)(listed, 0))


def read_thing(entry: Entry) -> OpenThing:
    thing, end = CUSTOMER_STATE.item("things").read(entry, TIME_BYTES)
    assert end == len(entry)
    assert isinstance(thing, OpenThing)
    return thing


def read_entry(entry: Entry) -> TimelineEntry:
    found, end = CUSTOMER_STATE.item("timeline").read(entry, TIME_BYTES)
    assert end == len(entry)
    assert isinstance(found, TimelineEntry)
    return found
