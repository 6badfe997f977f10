"""A processor sees its own writes at once, whatever of them is staged, sealed or stored."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from customeros.runtime.stream.model import Table, struct_table
from customeros.runtime.stream.overlay import Overlay
from customeros.runtime.stream.store import DictStore, Position

KEYS = st.binary(max_size=2)


class Count(msgspec.Struct, frozen=True):
    number: int


COUNTS = struct_table("count", Count)
# Its name continues the other's, its keys sort among the other's.
OTHERS = struct_table("counts", Count)
TABLES = st.sampled_from((COUNTS, OTHERS))


def test_a_key_is_encoded_once_per_seal() -> None:
    encoded: list[int] = []

    def encode(number: int) -> bytes:
        encoded.append(number)
        return b"%d" % number

    table = Table("n", encode, int)
    state = Overlay(DictStore())
    for number in range(5):
        state.put(table, b"k", number)

    assert state.seal() == {b"n\0k": b"4"}
    assert encoded == [4]


def test_a_stored_value_is_decoded_once_while_it_is_remembered() -> None:
    decoded: list[bytes] = []

    def decode(data: bytes) -> int:
        decoded.append(data)
        return int(data)

    def encode(number: int) -> bytes:
        return b"%d" % number

    table = Table("n", encode, decode)
    store = DictStore()
    store.write({b"n\0k": b"1"}, Position(0))
    state = Overlay(store)

    assert [state.get(table, b"k") for _ in range(3)] == [1, 1, 1]
    assert decoded == [b"1"]


def test_memory_for_decoded_values_is_bounded() -> None:
    """What falls out is read from the store again."""
    store = DictStore()
    store.write(
        {COUNTS.prefix + b"%d" % n: COUNTS.encode(Count(n)) for n in range(1000)}, Position(0)
    )
    state = Overlay(store, decoded_bytes=200)

    for n in [*range(1000), *range(1000)]:
        assert state.get(COUNTS, b"%d" % n) == Count(n)

    assert state.remembered_bytes <= 200


def test_a_value_that_is_written_again_is_counted_once() -> None:
    state = Overlay(DictStore(), decoded_bytes=10_000)
    state.put(COUNTS, b"k", Count(1))
    state.seal()
    state.settle()
    once = state.remembered_bytes

    for n in range(2, 50):
        state.put(COUNTS, b"k", Count(n))
        state.seal()
        state.settle()

    assert state.remembered_bytes == once > 0
    state.delete(COUNTS, b"k")
    state.seal()
    state.settle()
    assert state.remembered_bytes == 0


def test_sealing_twice_without_settling_is_refused() -> None:
    state = Overlay(DictStore())
    state.put(COUNTS, b"k", Count(1))
    state.seal()
    state.put(COUNTS, b"k", Count(2))

    with pytest.raises(RuntimeError):
        state.seal()


def test_a_tables_name_holds_no_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        struct_table("a\0b", Count)


class AgainstDicts(RuleBasedStateMachine):
    """Puts, deletes, commits at any stage: always what plain dictionaries say."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, dict[bytes, Count]] = {"count": {}, "counts": {}}
        self.store = DictStore()
        self.state = Overlay(self.store, decoded_bytes=30)
        self.sealed: Mapping[bytes, bytes | None] | None = None

    @rule(table=TABLES, key=KEYS, number=st.integers(0, 9))
    def put(self, table: Table[Count], key: bytes, number: int) -> None:
        self.state.put(table, key, Count(number))
        self.model[table.name][key] = Count(number)

    @rule(table=TABLES, key=KEYS)
    def delete(self, table: Table[Count], key: bytes) -> None:
        self.state.delete(table, key)
        self.model[table.name].pop(key, None)

    @rule(table=TABLES, keys=st.lists(KEYS, max_size=3))
    def get(self, table: Table[Count], keys: list[bytes]) -> None:
        model = self.model[table.name]
        assert self.state.get_many(table, keys) == {k: model[k] for k in keys if k in model}
        assert [self.state.get(table, key) for key in keys] == [model.get(key) for key in keys]

    @rule(
        table=TABLES, prefix=KEYS, beyond=st.just(b"") | KEYS, limit=st.none() | st.integers(0, 3)
    )
    def scan(self, table: Table[Count], prefix: bytes, beyond: bytes, limit: int | None) -> None:
        model = self.model[table.name]
        expected = sorted(
            (key, count)
            for key, count in model.items()
            if key.startswith(prefix) and (not beyond or key > beyond)
        )
        found = self.state.scan(table, prefix, beyond=beyond, limit=limit)
        assert list(found) == expected[:limit]

    @precondition(lambda self: self.sealed is None)
    @rule()
    def seal(self) -> None:
        self.sealed = self.state.seal()

    @precondition(lambda self: self.sealed is not None)
    @rule()
    def commit(self) -> None:
        assert self.sealed is not None
        self.store.write(self.sealed, Position(0))
        self.state.settle()
        self.sealed = None


TestAgainstDicts = AgainstDicts.TestCase
