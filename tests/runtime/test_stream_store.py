"""What every partition store promises, on disk and in memory alike."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from customeros.runtime.stream.entries import after
from customeros.runtime.stream.rocks import RocksStore, StoreInUse, open_store
from customeros.runtime.stream.store import NOWHERE, DictStore, Position, Store

KEYS = st.binary(max_size=3).map(lambda key: key.replace(b"\x02", b"\xff"))
VALUES = st.binary(max_size=4)


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = DictStore() if request.param == "memory" else RocksStore(tmp_path / "store")
    yield made
    made.close()


def test_a_fresh_store_is_empty_and_nowhere(store: Store) -> None:
    assert store.position == NOWHERE
    assert list(store.scan(b"")) == []
    assert store.get_many([b"a"]) == [None]


def test_a_scan_is_of_the_time_of_its_call(store: Store) -> None:
    """A write that comes while somebody reads is not seen half."""
    store.write({b"a": b"1", b"b": b"1"}, Position(1))

    found = store.scan(b"")
    store.write({b"a": b"2", b"b": None, b"c": b"2"}, Position(2))

    assert list(found) == [(b"a", b"1"), (b"b", b"1")]


def test_a_scan_ends_with_its_prefix_however_many_are_read_beside_it(store: Store) -> None:
    """RocksDB's iterator points to a bound that it does not keep, and ran on into what follows."""
    order = random.Random(1)
    names = (
        letter * 20 + number.to_bytes(2, "big") * order.randint(1, 30)
        for letter in (b"a", b"b", b"c")
        for number in range(200)
    )
    store.write({key: b"v" * order.choice((0, 8, 30, 8_000)) for key in names}, Position(1))

    for length in range(1, 21):
        prefix = b"b" * length
        for found in [store.scan(prefix) for _ in range(5)]:
            keys = [key for key, _ in found]
            assert len(keys) == 200
            assert all(key.startswith(prefix) for key in keys)


def test_a_prefix_of_ff_has_no_end(store: Store) -> None:
    store.write({b"\xff": b"1", b"\xff\xff": b"2", b"\xfe": b"0"}, Position(1))

    assert list(store.scan(b"\xff")) == [(b"\xff", b"1"), (b"\xff\xff", b"2")]
    assert after(b"\xff") is None
    assert after(b"a\xff") == b"b"


def test_what_was_written_survives_a_reopening(tmp_path: Path) -> None:
    position = Position(7, "an id", 1234)
    first = RocksStore(tmp_path)
    first.write({b"a": b"1", b"\x00watermark": b"2"}, position)
    first.close()
    first.close()

    again = RocksStore(tmp_path)

    assert again.position == position
    assert again.get_many([b"a", b"\x00watermark"]) == [b"1", b"2"]
    again.close()


def test_a_cleared_store_is_as_new(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    store.write({b"a": b"1"}, Position(7))

    store.clear()

    assert store.position == NOWHERE
    assert store.get_many([b"a"]) == [None]
    store.close()


def test_a_corrupt_store_is_made_anew(tmp_path: Path) -> None:
    """Its content is in the changelog, so nothing is lost but time."""
    store = RocksStore(tmp_path)
    store.write({b"a": b"1"}, Position(7))
    store.close()
    (tmp_path / "CURRENT").write_bytes(b"no manifest\n")

    again = RocksStore(tmp_path)

    assert again.position == NOWHERE
    again.close()


def test_two_workers_of_one_home_have_a_store_each(tmp_path: Path) -> None:
    first = open_store(tmp_path, cache_bytes=1 << 20)
    second = open_store(tmp_path, cache_bytes=1 << 20)

    assert first.path != second.path
    with pytest.raises(StoreInUse):
        RocksStore(first.path)
    first.close()
    second.close()
    third = open_store(tmp_path, cache_bytes=1 << 20)
    assert third.path == first.path
    third.close()


class _AgainstADict(RuleBasedStateMachine):
    """Any sequence of writes and reads gives what a dictionary gives."""

    make: Callable[[], Store]

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[bytes, bytes] = {}
        self.offset = -1
        self.store = self.make()

    @rule(writes=st.dictionaries(KEYS, st.none() | VALUES, max_size=4))
    def write(self, writes: dict[bytes, bytes | None]) -> None:
        self.offset += 1
        self.store.write(writes, Position(self.offset))
        self.model.update({key: value for key, value in writes.items() if value is not None})
        for key in (key for key, value in writes.items() if value is None):
            self.model.pop(key, None)

    @rule(keys=st.lists(KEYS, max_size=4))
    def get(self, keys: list[bytes]) -> None:
        assert list(self.store.get_many(keys)) == [self.model.get(key) for key in keys]

    @rule(prefix=KEYS, beyond=st.just(b"") | KEYS)
    def scan(self, prefix: bytes, beyond: bytes) -> None:
        expected = sorted(
            (key, value)
            for key, value in self.model.items()
            if key.startswith(prefix) and (not beyond or key > beyond)
        )
        assert list(self.store.scan(prefix, beyond)) == expected

    @invariant()
    def position_is_the_last_writes(self) -> None:
        assert self.store.position.offset == self.offset

    def teardown(self) -> None:
        self.store.close()


class InMemory(_AgainstADict):
    make = DictStore


class OnDisk(_AgainstADict):
    def make(self) -> Store:
        self.folder = Path(tempfile.mkdtemp())
        return RocksStore(self.folder)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = RocksStore(self.folder)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


TestInMemory = InMemory.TestCase
TestOnDisk = OnDisk.TestCase
TestOnDisk.settings = settings(max_examples=8, stateful_step_count=30, deadline=None)
