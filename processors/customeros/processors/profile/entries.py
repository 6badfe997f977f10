"""
Entries of a profile's lists, in the bytes in which states have them.

An entry is written once, when its event is folded; from then on lists are merged, kept, digested
and put into states without a look into it. Its time, six bytes, comes before the Avro record, so
that of two entries the newer one is the greater; of one millisecond the record's bytes decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from customeros.schemas.avro_values import end_of_text, text_bytes
from customeros.schemas.codec import CUSTOMER_STATE, AvroCodec
from customeros.schemas.customer import OpenThing, TimelineEntry

S = TypeVar("S", bound=msgspec.Struct)

Entry = bytes
TIME_BYTES: Final = 6
_write_entry: Final = CUSTOMER_STATE.item("timeline").write
_write_thing: Final = CUSTOMER_STATE.item("things").write
_NOBODY, _SOMEBODY = b"\x00", b"\x02"


class Listed(NamedTuple, Generic[S]):
    """A state whose lists, empty in itself, are the entries beside it."""

    state: S
    things: tuple[Entry, ...] = ()
    timeline: tuple[Entry, ...] = ()


def timeline_entry(entry: TimelineEntry) -> Entry:
    """*entry* of a customer's timeline, of the years 1970 to 9999."""
    return entry.occurred_at.to_bytes(TIME_BYTES, "big") + _write_entry(entry)


def thing_entry(thing: OpenThing) -> Entry:
    """What an event of the years 1970 to 9999 says of a thing."""
    return thing.occurred_at.to_bytes(TIME_BYTES, "big") + _write_thing(thing)


def id_of_thing(thing: Entry) -> bytes:
    """Its kind and its reference, with which its record begins."""
    return thing[TIME_BYTES : end_of_text(thing, end_of_text(thing, TIME_BYTES))]


def with_customer(entry: Entry, customer_id: str | None) -> Entry:
    """The entry of an organisation's timeline that is *entry* of this customer's, or nobody's."""
    return entry + (_NOBODY if customer_id is None else _SOMEBODY + text_bytes(customer_id))


def encoder(codec: AvroCodec[S]) -> Callable[[Listed[S], int], bytes]:
    """What writes a state of *codec* as its topic has it, with a version of it."""
    write = codec.given("things", "timeline")

    def encode(listed: Listed[S], version: int) -> bytes:
        state: S = msgspec.structs.replace(listed.state, version=version)
        return write(state, _records(listed.things), _records(listed.timeline))

    return encode


def _records(entries: Iterable[Entry]) -> list[bytes]:
    return [entry[TIME_BYTES:] for entry in entries]
