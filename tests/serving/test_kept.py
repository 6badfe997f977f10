"""What a live copy holds on disk: as a dictionary would, and found by either identifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from customeros.runtime.settings import Settings
from customeros.runtime.stream.rocks import RocksStore
from customeros.runtime.stream.store import DictStore, Store
from customeros.schemas.codec import IDENTITY_LINK
from customeros.schemas.identity import IdentityLink, Refusal
from customeros.schemas.topics import CUSTOMER_STATE, topic_key
from customeros.serving.identity import Links
from customeros.serving.kept import Kept, store_of
from support.customers import WORKSPACE, a_link


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return DictStore() if request.param == "memory" else RocksStore(tmp_path)


def test_it_is_a_dictionary(store: Store) -> None:
    kept = Kept(store)

    kept.update({b"b": b"1", b"a": b"2"})
    kept[b"c"] = b"3"
    kept.update(dict.fromkeys([b"b"], b"4"))
    del kept[b"a"]

    assert dict(kept) == {b"b": b"4", b"c": b"3"}
    assert len(kept) == 2
    assert kept.get(b"a") is None
    assert kept.pop(b"a", None) is None
    with pytest.raises(KeyError):
        del kept[b"a"]


def test_evidence_is_found_by_either_identifier_and_gone_when_it_is_taken_back(
    store: Store,
) -> None:
    """What joined nobody is listed, however it came in and until it is not refused any more."""
    links = Links(store)
    one = a_link("email:a@x.example", "user_id:1")
    other = a_link("email:a@x.example", "user_id:2", refused=Refusal.LIMIT)
    shared = ({one.a, one.b} & {other.a, other.b}).pop()

    links.update(dict([_record(one), _record(other)]))

    assert {link.b for link in links.naming(WORKSPACE, shared)} == {one.b, other.b}
    assert set(links.named(WORKSPACE)) == {one.a, one.b, other.a, other.b}
    assert links.refused(WORKSPACE) == [other]
    assert dict(links) == dict([_record(one), _record(other)])

    del links[_record(other)[0]]

    assert links.naming(WORKSPACE, shared) == [one]
    assert set(links.named(WORKSPACE)) == {one.a, one.b}
    assert links.refused(WORKSPACE) == []


def test_a_process_begins_with_an_empty_store(tmp_path: Path) -> None:
    """All is read anew, and what the last one left might be of customers who were erased since."""
    settings = Settings(home=tmp_path)
    before = store_of(settings, CUSTOMER_STATE)
    Kept(before)[b"a"] = b"1"
    before.close()

    assert dict(Kept(store_of(settings, CUSTOMER_STATE))) == {}


def _record(link: IdentityLink) -> tuple[bytes, bytes]:
    return topic_key(WORKSPACE, f"{link.a}.{link.b}"), IDENTITY_LINK.encode(link)
