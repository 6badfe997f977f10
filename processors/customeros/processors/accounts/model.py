"""What one identifier's events say of one organisation, and how the organisation is told."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from customeros.processors.profile.model import EMPTY, First, Profile, Standing, TraitMark
from customeros.schemas.topics import topic_key

NOBODY: Final = ""  # whose the events are that name an organisation and no person
ACCOUNT_ID_CHARACTERS: Final = 256
_ROW_BYTES: Final = 16  # 128 bits: no two organisations share a row


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    Args:
        profile: of the events that name the organisation; its traits are the organisation's.
        standing: None: the events name no person.
        closed: the newest event that says that the organisation is gone.
        parent: the newest that names its parent, as text; "" is none.
    """

    profile: Profile = EMPTY
    standing: Standing | None = None
    closed: First | None = None
    parent: TraitMark | None = None


class PartChange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="part"):
    """
    What `nid` says of the account from now on, or whose it is now.

    Args:
        nid: an identifier key, or `NOBODY`.
        customer_id: None: the identifier says nothing of the account any more.
        sequence: grows with each record of this identifier.
        part: None: as it was.
    """

    workspace: str
    account_id: str
    nid: str
    customer_id: str | None
    sequence: int
    part: Part | None = None


class ChildChange(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="child"):
    """`child` says that the account is its parent, or (`on` False) does so no longer."""

    workspace: str
    account_id: str
    child: str
    on: bool


AccountChange = PartChange | ChildChange

# Equal values give equal bytes: keys of maps are written in ascending order.
encode_change: Final = msgspec.msgpack.Encoder(order="deterministic").encode
_decoder: Final[msgspec.msgpack.Decoder[AccountChange]] = msgspec.msgpack.Decoder(AccountChange)


def decode_change(data: bytes) -> AccountChange:
    """
    One record of `account.contributions`.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decoder.decode(data)


def row_of(workspace: str, account_id: str) -> bytes:
    """Where stores keep an account: of one length, since an account id may hold any character."""
    return blake2b(topic_key(workspace, account_id), digest_size=_ROW_BYTES).digest()
