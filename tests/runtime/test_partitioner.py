"""Keys land where the Java client puts them."""

from __future__ import annotations

import pytest

from customeros.runtime.partitioner import partition_of

# Of Apache Kafka's own UtilsTest.
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), VECTORS.items())
def test_the_hash_is_the_java_clients(key: bytes, signed: int) -> None:
    assert partition_of(key, 0x7FFFFFFF) == signed & 0x7FFFFFFF


def test_a_partition_is_never_negative() -> None:
    assert partition_of(b"foobar", 7) == (-790332482 & 0x7FFFFFFF) % 7


def test_an_empty_key_and_a_key_with_zeros_have_a_partition() -> None:
    assert partition_of(b"", 0x7FFFFFFF) == 275646681
    assert partition_of(b"a\0b", 0x7FFFFFFF) != partition_of(b"a", 0x7FFFFFFF)
