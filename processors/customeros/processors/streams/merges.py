"""Merge profiles again and again of which mostly one has changed since the last time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from customeros.processors.profile.customer import Member, decoded, merged
from customeros.processors.profile.merge import merge
from customeros.processors.profile.model import Profile

# Customers of whom something is remembered; those not touched for longest are forgotten.
_REMEMBERED: Final = 1_024
# Beside the merged ones; more are merged into them.
_BESIDE: Final = 2


class _Rest(NamedTuple):
    """Identifiers without news: the sequence of each, and what their profiles say together."""

    sequences: Mapping[str, int]
    profile: Profile


class Merges:
    """
    What the profiles of a customer's members say together, as `merged` does.

    Those without news are merged once and remembered; a sequence tells whether one has news.
    """

    def __init__(self) -> None:
        self._rests: dict[bytes, _Rest] = {}

    def profile(
        self, customer: bytes, members: Mapping[str, Member], fresh: Mapping[str, Profile]
    ) -> Profile:
        """
        Args:
            customer: its key.
            fresh: profiles that are decoded already, of those with news.
        """
        told = {nid: member.sequence for nid, member in members.items() if nid not in fresh}
        known = [profile for nid, profile in fresh.items() if nid in members]
        rest = self._rests.pop(customer, None)
        if not told:
            return merge(known)
        if rest is not None and not rest.sequences.items() <= told.items():
            same = [nid for nid, sequence in rest.sequences.items() if told.get(nid) == sequence]
            rest = _rest(same, members) if same else None
        if rest is None or len(told) - len(rest.sequences) > _BESIDE:
            rest = _rest(told, members)
        self._rests[customer] = rest
        if len(self._rests) > _REMEMBERED:
            del self._rests[next(iter(self._rests))]
        beside = [decoded(members[nid]) for nid in told if nid not in rest.sequences]
        return merge([rest.profile, *beside, *known])

    def forget(self, customer: bytes) -> None:
        """Remember nothing of a customer without members."""
        self._rests.pop(customer, None)


def _rest(nids: Iterable[str], members: Mapping[str, Member]) -> _Rest:
    found = {nid: members[nid] for nid in nids}
    return _Rest({nid: member.sequence for nid, member in found.items()}, merged(found))
