"""What is known of one identifier, at the place that all its events come to."""

from __future__ import annotations

from typing import Final

import msgspec

from customeros.processors.identity.proofs import Kept
from customeros.processors.profile.kept import newest_members
from customeros.processors.profile.model import (
    EMPTY,
    NEIGHBOURS,
    ConsentMark,
    Contribution,
    First,
    Profile,
    canonical_bytes,
)
from customeros.processors.streams.written import PROFILE_BYTES
from customeros.runtime.stream import Table
from customeros.schemas.identity import Endpoint


class Pair(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    This identifier beside another one.

    Args:
        last_at: newest event that names both and is keyed by this one; 0: none is.
    """

    proofs: tuple[Kept, ...]
    last_at: int

    @property
    def first(self) -> First:
        """The earliest event that names both."""
        return first_of(min(self.proofs))


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    The record of one identifier.

    Args:
        value: the one place where it is kept raw; None until an event that names it is seen here.
        first: the earliest event that names it; None: only an assignment spoke of it.
        told: the earliest that the graph was told; None: the graph does not know it from here.
        erased_at: events up to then are not taken again, ms; -1: it never was.
        last_at: newest event keyed by it, ms.
        sequence: of the last change that was sent.
        limit: as the assignment says it.
    """

    type: str
    customer_id: str
    value: str | None = None
    first: First | None = None
    told: First | None = None
    epoch: int = 0
    erased_at: int = -1
    assignment_version: int = 0
    sequence: int = 0
    last_at: int = 0
    pairs: dict[str, Pair] = {}
    consent: dict[str, ConsentMark] = {}
    profile: Profile = EMPTY
    limit: int = -1


def _encode(known: Known) -> bytes:
    return canonical_bytes(
        msgspec.structs.replace(known, profile=PROFILE_BYTES.kept(known.profile))
    )


# By `workspace/key`, as on the topics.
IDENTIFIERS: Final = Table("identifier", _encode, msgspec.msgpack.Decoder(Known).decode)


class Crowd(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An identifier with too many neighbours to know whether the one it tells is new to it."""

    nid: str
    type: str
    epoch: int
    proofs: tuple[Kept, ...]


class Sighting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    Tells an identifier that it was named by an event keyed by another one.

    Args:
        told: the graph was told of `first` in the same transaction.
        consent: what the events decided, which counts for every identifier they name.
        crowd: who tells, if it cannot say itself whether the pair is evidence.
    """

    workspace: str
    nid: str
    type: str
    value: str
    first: First
    told: bool
    consent: dict[str, ConsentMark] = {}
    crowd: Crowd | None = None


def first_of(proof: Kept) -> First:
    """When it was seen."""
    return First(proof.occurred_at, proof.event_id, proof.source)


encode_sighting: Final = msgspec.msgpack.Encoder().encode
decode_sighting: Final = msgspec.msgpack.Decoder(Sighting).decode


def contribution_of(known: Known) -> Contribution[Profile] | None:
    """What the identifier brings to its customer; None while no event that names it is known."""
    if known.first is None:
        return None
    beside = {nid: pair.last_at for nid, pair in known.pairs.items() if pair.last_at}
    return Contribution(
        known.type,
        known.value,
        known.first,
        known.last_at,
        newest_members(beside, NEIGHBOURS),
        known.consent,
        known.profile,
    )


def endpoint(nid: str, kind: str, first: First, epoch: int) -> Endpoint:
    """An identifier as evidence names it."""
    return Endpoint(
        key=nid,
        type=kind,
        first_seen_at=first.occurred_at,
        first_event_id=first.event_id,
        epoch=epoch,
    )
