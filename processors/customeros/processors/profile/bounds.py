"""Keep a profile within its bytes: what goes first is the same for everyone who counts."""

from __future__ import annotations

from typing import Final

import msgspec

from customeros.processors.profile.kept import first_accounts, newest_members
from customeros.processors.profile.model import Contribution, Profile, canonical_bytes

CONTRIBUTION_BYTES: Final = 16 * 1024
STATE_BYTES: Final = 128 * 1024

# How much of each list stays, tried in turn. Counts, sums and consent always stay.
_STEPS: Final = (32, 16, 8, 4, 2, 1, 0)


def fitted(
    contribution: Contribution[Profile], *, max_bytes: int = CONTRIBUTION_BYTES
) -> Contribution[Profile]:
    """*contribution* with as much of its lists, the newest first, as *max_bytes* hold."""
    if len(canonical_bytes(contribution)) <= max_bytes:
        return contribution
    for count in _STEPS:
        smaller = msgspec.structs.replace(
            contribution,
            beside=newest_members(contribution.beside, count),
            profile=shortened(contribution.profile, count),
        )
        if len(canonical_bytes(smaller)) <= max_bytes:
            break
    return smaller


def fitted_profile(profile: Profile, *, max_bytes: int) -> Profile:
    """*profile* with as much of its lists, the newest first, as *max_bytes* hold."""
    if len(canonical_bytes(profile)) <= max_bytes:
        return profile
    for count in _STEPS:
        smaller = shortened(profile, count)
        if len(canonical_bytes(smaller)) <= max_bytes:
            break
    return smaller


def shortened(profile: Profile, count: int) -> Profile:
    """*profile* with the newest *count* of each of its lists."""
    traits = sorted(profile.traits.items(), key=lambda item: (item[1], item[0]), reverse=True)
    return msgspec.structs.replace(
        profile,
        traits=dict(traits[:count]),
        things=profile.things[:count],
        timeline=profile.timeline[:count],
        sets={name: newest_members(members, count) for name, members in profile.sets.items()},
        accounts=first_accounts(profile.accounts, count),
    )
