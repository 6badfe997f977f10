"""The bytes of a profile, made once for its customer and for its identifier's own record."""

from __future__ import annotations

from typing import Final

import msgspec

from customeros.processors.profile.model import Profile, canonical_bytes

# More than one transaction has; what is told and never kept is forgotten after as many others.
_WAITING: Final = 2_048


class ProfileBytes:
    """
    Profiles as msgpack; an identifier tells its customer of one, and keeps it soon after.

    Encoding walks over some hundred objects, which are still in the processor's cache when they
    have just been made, and no longer when the transaction is sealed. Whether a profile was told
    changes no byte.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Profile, msgspec.Raw]] = {}

    def told(self, profile: Profile) -> msgspec.Raw:
        """The bytes of *profile*, which are remembered until it is kept."""
        raw = msgspec.Raw(canonical_bytes(profile))
        self._waiting[id(profile)] = profile, raw
        if len(self._waiting) > _WAITING:
            del self._waiting[next(iter(self._waiting))]
        return raw

    def kept(self, profile: Profile) -> msgspec.Raw:
        """The bytes of *profile*."""
        found = self._waiting.pop(id(profile), None)
        # An id is nobody else's for as long as its owner waits here.
        return msgspec.Raw(canonical_bytes(profile)) if found is None else found[1]


PROFILE_BYTES: Final = ProfileBytes()
