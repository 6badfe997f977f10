"""What is remembered of a merge changes nothing of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.processors.profile import customer
from customeros.processors.profile.customer import Member, merged
from customeros.processors.profile.fold import fold
from customeros.processors.profile.model import (
    EMPTY,
    Contribution,
    Fact,
    First,
    Profile,
    as_sent,
    decode_profile,
)
from customeros.processors.streams import merges
from customeros.processors.streams.merges import Merges
from support.histories import NOON, an_event, an_order

NIDS = ("a", "b", "c", "d", "e")
# Who has news at once, and who leaves.
STEPS = st.lists(
    st.tuples(st.sets(st.sampled_from(NIDS), max_size=3), st.sets(st.sampled_from(NIDS))),
    max_size=30,
)


class Told:
    """A customer's members, of whom some have news at a time."""

    def __init__(self, name: str = "c1") -> None:
        self.key = name.encode()
        self.members: dict[str, Member] = {}
        self._profiles: dict[str, Profile] = {}
        self._sequence = 0

    def news(self, nids: set[str]) -> dict[str, Profile]:
        """One more event of each."""
        fresh = {}
        for nid in sorted(nids):
            self._sequence += 1
            number = self._sequence
            event = an_event(f"e{number}", occurred_at=NOON + number, order=an_order(number))
            profile = fold(self._profiles.get(nid, EMPTY), [Fact(event)])
            self._profiles[nid] = fresh[nid] = profile
            first = First(NOON, "e1", "web")
            sent = as_sent(Contribution("user_id", nid, first, NOON, {}, {}, profile))
            self.members[nid] = Member(0, number, sent)
        return fresh


@given(STEPS, st.booleans())
def test_it_is_the_same_as_merging_all_anew(
    steps: list[tuple[set[str], set[str]]], is_known: bool
) -> None:
    """Whoever has news, leaves or comes back, and whether or not news are decoded already."""
    told, found = Told(), Merges()
    for having_news, leaving in steps:
        fresh = told.news(having_news)
        for nid in leaving - having_news:
            told.members.pop(nid, None)

        again = found.profile(told.key, told.members, fresh if is_known else {})

        assert again == merged(told.members)


def test_those_without_news_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where two have news in turn: then both stay beside the others."""
    decoded: list[msgspec.Raw] = []

    def decode(raw: msgspec.Raw) -> Profile:
        decoded.append(raw)
        return decode_profile(raw)

    monkeypatch.setattr(customer, "decode_profile", decode)
    told, found = Told(), Merges()
    found.profile(told.key, told.members, told.news({*NIDS}))

    def decodes(nid: str) -> int:
        fresh = told.news({nid})
        decoded.clear()
        found.profile(told.key, told.members, fresh)
        return len(decoded)

    assert [decodes("a") for _ in range(3)] == [4, 0, 0]
    assert [decodes(nid) for nid in "babab"][1:] == [1, 1, 1, 1]


def test_nothing_is_remembered_of_who_has_left() -> None:
    """What is erased is in no memory either."""
    told, found = Told(), Merges()
    found.profile(told.key, told.members, told.news({"a", "b", "c"}))
    found.profile(told.key, told.members, told.news({"a"}))
    assert found._rests[told.key].sequences.keys() == {"b", "c"}

    del told.members["b"]
    found.profile(told.key, told.members, {})
    assert "b" not in found._rests[told.key].sequences
    found.profile(told.key, told.members, told.news({"a", "c"}))
    assert not found._rests

    found.profile(told.key, told.members, told.news({"a"}))
    found.forget(told.key)
    assert not found._rests


def test_customers_not_touched_for_longest_are_forgotten() -> None:
    found = Merges()
    for number in range(merges._REMEMBERED + 10):
        told = Told(f"c{number}")
        told.news({"a", "b"})
        found.profile(told.key, told.members, told.news({"a"}))

    assert len(found._rests) == merges._REMEMBERED
