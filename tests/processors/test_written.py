"""A profile is encoded once for two records, and each is as if it were encoded for itself."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from customeros.processors.profile.fold import fold
from customeros.processors.profile.model import (
    Fact,
    First,
    Profile,
    TraitMark,
    canonical_bytes,
    decode_change,
    encode_change,
)
from customeros.processors.streams import written
from customeros.processors.streams.changes import contributed
from customeros.processors.streams.identifier import IDENTIFIERS, Known
from customeros.processors.streams.written import ProfileBytes
from customeros.runtime.stream import Output
from support.histories import NOON, an_event, an_order


def a_profile(traits: int) -> Profile:
    profile = fold(Profile(), [Fact(an_event("e1", order=an_order()))])
    marks = {f"t{n}": TraitMark(NOON, 0, "e1", "web", "x" * 500) for n in range(traits)}
    return msgspec.structs.replace(profile, traits=marks)


# The last is too large for a contribution.
PROFILES = [Profile(), *map(a_profile, (0, 3, 60))]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(PROFILES))))
def test_whether_a_profile_was_told_changes_no_byte(
    steps: list[tuple[bool, Profile]],
) -> None:
    """However often, in whatever order, and of however many others."""
    profiles = ProfileBytes()

    for is_told, profile in steps:
        found = profiles.told(profile) if is_told else profiles.kept(profile)
        assert bytes(found) == canonical_bytes(profile)


@given(st.sampled_from(PROFILES), st.booleans())
def test_both_records_are_as_if_they_were_encoded_alone(profile: Profile, is_told: bool) -> None:
    """Of the profile that does not fit a contribution the record keeps all."""
    known = Known("user_id", "c1", "ada", First(NOON, "e1", "web"), profile=profile, last_at=NOON)

    told: list[Output] = []
    if is_told:
        known, told = contributed("shop", "n1", known)
    kept = IDENTIFIERS.encode(known)

    assert kept == canonical_bytes(known)
    assert IDENTIFIERS.decode(kept) == known
    for output in told:
        change, sent = decode_change(output.value or b"")
        assert output.value == encode_change(change)
        assert change.contribution is not None
        assert sent.events == profile.events


def test_what_was_told_and_never_kept_is_forgotten() -> None:
    profiles = ProfileBytes()

    for number in range(written._WAITING + 10):
        profiles.told(msgspec.structs.replace(PROFILES[0], events=number))

    assert len(profiles._waiting) == written._WAITING
