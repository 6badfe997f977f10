"""What one identifier's events add up to: every field merges in any order to the same value."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec.structs import force_setattr

from customeros.processors.profile.entries import Entry
from customeros.processors.profile.formerly import (
    ThingMark,
    TimelineMark,
    things_now,
    timeline_now,
)
from customeros.schemas.event import Event

# Each bound keeps the greatest by a rank that only ever grows for a given key, so what is dropped
# would be dropped again whatever comes later: the order of arrival cannot show.
TIMELINE_ENTRIES: Final = 50
THINGS: Final = 50
TRAITS: Final = 64
SET_MEMBERS: Final = 32
DAYS: Final = 90
DAY_CURRENCIES: Final = 3
PURPOSES: Final = 32
NEIGHBOURS: Final = 32
ACCOUNTS: Final = 100
_DIGEST_BYTES: Final = 16

NAME_CHARACTERS: Final = 100
PURPOSE_CHARACTERS: Final = 64
TRAIT_CHARACTERS: Final = 1_024

DAY_MS: Final = 86_400_000
# Sums are 64 bits wide where others read them. One amount is bounded so that they fit.
MAX_AMOUNT: Final = 10**15
MAX_LONG: Final = 2**63 - 1


P = TypeVar("P")

# Marks are compared field by field down to the last, so every field of theirs has an order.


class First(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The earliest event that names an identifier; ordered by time, then event id."""

    occurred_at: int
    event_id: str
    source: str


class TraitMark(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The greatest stays: newest, then by its source's priority, then by event id."""

    occurred_at: int
    priority: int
    event_id: str
    source: str
    value: str


class ConsentMark(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The greatest stays: newest, and of one moment the refusal."""

    occurred_at: int
    refused: bool
    event_id: str
    source: str


class TouchMark(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """What brought the customer here, as one event tells it."""

    occurred_at: int
    event_id: str
    source: str
    values: tuple[tuple[str, str], ...]  # sorted


class Said(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """
    The greatest stays: what says who joined or left, newest, and of one moment the leaving.

    Args:
        plainly: the event is about the membership; else it only names both.
    """

    plainly: bool
    occurred_at: int
    left: bool
    event_id: str
    source: str


class Role(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """The newest stays."""

    occurred_at: int
    event_id: str
    name: str


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    How an identifier stands to an organisation.

    Args:
        since, last_at: the first and the newest event that names both, ms.
    """

    said: Said
    since: int
    last_at: int
    role: Role | None = None


class Profile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    Events folded; the empty profile folds nothing.

    Args:
        money: currency to minor units placed, refunded, cancelled.
        days: ISO date (UTC) to events of that day; the newest `DAYS` with any.
        order_days: the same to orders placed, and per currency what they came to.
        uniques: name to a set of `uniques`.
        things_before, timeline_before: as v0 wrote them; always empty (see `formerly`).
        things, timeline: entries (see `entries`), newest first.
        sets: name to members, each with the time it was last seen.
        accounts: by id, the organisations that events name: the first `ACCOUNTS`.
    """

    events: int = 0
    by_family: dict[str, int] = {}
    orders: int = 0
    refunds: int = 0
    cancellations: int = 0
    items: int = 0
    messages_in: int = 0
    messages_out: int = 0
    money: dict[str, tuple[int, int, int]] = {}
    first_at: int | None = None
    last_at: int | None = None
    days: dict[str, int] = {}
    traits: dict[str, TraitMark] = {}
    things_before: tuple[ThingMark, ...] = ()
    timeline_before: tuple[TimelineMark, ...] = ()
    sets: dict[str, dict[str, int]] = {}
    first_touch: TouchMark | None = None
    last_touch: TouchMark | None = None
    order_days: dict[str, tuple[int, dict[str, int]]] = {}
    uniques: dict[str, bytes] = {}
    accounts: dict[str, Standing] = {}
    things: tuple[Entry, ...] = ()
    timeline: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        if self.things_before or self.timeline_before:
            force_setattr(self, "things", things_now(self.things_before))
            force_setattr(self, "timeline", timeline_now(self.timeline_before))
            force_setattr(self, "things_before", ())
            force_setattr(self, "timeline_before", ())


EMPTY: Final = Profile()


class Contribution(msgspec.Struct, Generic[P], frozen=True, array_like=True, gc=False):
    """
    What one identifier brings to the customer it belongs to.

    Args:
        last_at: newest event keyed by this identifier, ms; 0: none is.
        beside: other identifiers of those events, by key, to when each was last seen there.
        consent: of every event that names the identifier, keyed by it or not.
        profile: where it is sent and kept as msgpack, which few need to look into.
    """

    type: str
    value: str | None
    first: First
    last_at: int
    beside: dict[str, int]
    consent: dict[str, ConsentMark]
    profile: P


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    One record of `profile.contributions`: what `nid` brings to `customer_id` from now on.

    Args:
        sequence: grows with each record of this identifier.
        contribution: None: the identifier is no (longer) member of this customer.
        moved_to: where it belongs now; None with no contribution: it was erased.
        limit: as the assignment says it.
    """

    workspace: str
    customer_id: str
    nid: str
    epoch: int
    assignment_version: int
    sequence: int
    contribution: Contribution[msgspec.Raw] | None
    moved_to: str | None = None
    limit: int = -1


class Told(NamedTuple):
    """A change, and what its contribution's profile says."""

    change: Change
    profile: Profile = EMPTY


class Fact(NamedTuple):
    """
    An event as it is folded.

    Args:
        priority: of its source; of two trait values from one moment the higher stays.
        touch: campaign and referrer, if the event tells any.
        page: which page or screen it shows, if any.
    """

    event: Event
    priority: int = 0
    touch: dict[str, str] | None = None
    page: str | None = None


# Equal values give equal bytes: keys of maps are written in ascending order.
_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")
_decoder: Final = msgspec.msgpack.Decoder(Change)
decode_profile: Final = msgspec.msgpack.Decoder(Profile).decode


def canonical_bytes(value: Any) -> bytes:
    """Msgpack of a value of this module; equal values give equal bytes."""
    return _encoder.encode(value)


def digest_of(state: Any) -> str:
    """A hash over all that *state*, of structs, says: 32 hexadecimal digits."""
    return blake2b(_encoder.encode(state), digest_size=_DIGEST_BYTES).hexdigest()


def encode_change(change: Change) -> bytes:
    """The bytes of one record of `profile.contributions`."""
    return _encoder.encode(change)


def decode_change(data: bytes) -> Told:
    """
    The record that *data* holds.

    Raises:
        msgspec.DecodeError: it holds none.
    """
    change = _decoder.decode(data)
    if change.contribution is None:
        return Told(change)
    return Told(change, decode_profile(change.contribution.profile))


def as_sent(
    contribution: Contribution[Profile], profile: msgspec.Raw | None = None
) -> Contribution[msgspec.Raw]:
    """*contribution* as a change holds it; *profile* is its own, where that is at hand."""
    return Contribution(
        contribution.type,
        contribution.value,
        contribution.first,
        contribution.last_at,
        contribution.beside,
        contribution.consent,
        profile or msgspec.Raw(canonical_bytes(contribution.profile)),
    )
