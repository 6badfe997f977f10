"""
How many different ones are there? Exactly up to 64, then within a few percent, in 1 kB.

A set is bytes: up to 64 hashes of 8 bytes each, in order, or the 1,024 registers of a HyperLogLog.
Which of the two follows from the set alone, so equal sets are equal bytes whatever came first.
Hashes and not names are kept: a set says how many there are, and not which.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

EXACT: Final = 64
_HASH_BYTES: Final = 8
_EXACT_BYTES: Final = EXACT * _HASH_BYTES
_INDEX_BITS: Final = 10
_REGISTERS: Final = 1 << _INDEX_BITS
_RANK_BITS: Final = 8 * _HASH_BYTES - _INDEX_BITS
_RANKED: Final = (1 << _RANK_BITS) - 1
_PERSON: Final = b"customeros"
_SCALE: Final = 0.7213475204444817  # 1 / (2 ln 2)


def noted(known: bytes, names: Iterable[str]) -> bytes:
    """The set *known* with *names* in it."""
    hashes = map(_hash, names)
    if len(known) == _REGISTERS:
        return _raised(known, map(_number, hashes))
    for each in hashes:
        known = _inserted(known, each)
        if len(known) > _EXACT_BYTES:
            return _raised(bytes(_REGISTERS), (*_numbers(known), *map(_number, hashes)))
    return known


def union(sets: Iterable[bytes]) -> bytes:
    """The set of what is in any of *sets*."""
    found, numbers = b"", set[int]()
    for each in sets:
        if len(each) != _REGISTERS:
            numbers.update(_numbers(each))
        elif found:
            found = bytes(map(max, found, each))
        else:
            found = each
    if found or len(numbers) > EXACT:
        return _raised(found or bytes(_REGISTERS), numbers)
    return struct.pack(f">{len(numbers)}Q", *sorted(numbers))


def count(known: bytes) -> int:
    """
    How many are in the set: exact up to 64, beyond with a standard error of 3.3 %.

    The estimate is Ertl's improved one (arXiv:1702.01284, algorithm 6), which needs no tables.
    It adds and multiplies only, so that every machine gives the same number.
    """
    if len(known) != _REGISTERS:
        return len(known) // _HASH_BYTES
    registers = Counter(known)
    z = 0.0
    for rank in range(_RANK_BITS, 0, -1):
        z = 0.5 * (z + registers[rank])
    z += _REGISTERS * _sigma(registers[0] / _REGISTERS)
    return max(EXACT + 1, round(_SCALE * _REGISTERS * _REGISTERS / z))


def _inserted(known: bytes, each: bytes) -> bytes:
    """Hashes with one more; an identifier sees few new ones at a time."""
    low, high = 0, len(known) // _HASH_BYTES
    while low < high:
        middle = (low + high) // 2
        if known[middle * _HASH_BYTES : (middle + 1) * _HASH_BYTES] < each:
            low = middle + 1
        else:
            high = middle
    at = low * _HASH_BYTES
    if known[at : at + _HASH_BYTES] == each:
        return known
    return known[:at] + each + known[at:]


def _hash(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=_HASH_BYTES, person=_PERSON).digest()


def _number(each: bytes) -> int:
    return int.from_bytes(each, "big")


def _numbers(known: bytes) -> tuple[int, ...]:
    """The hashes of an exact set as numbers, in the same order."""
    return struct.unpack(f">{len(known) // _HASH_BYTES}Q", known)


def _raised(registers: bytes, numbers: Iterable[int]) -> bytes:
    found = bytearray(registers)
    for number in numbers:
        index = number >> _RANK_BITS
        rank = _RANK_BITS + 1 - max(1, (number & _RANKED).bit_length())
        found[index] = max(found[index], rank)
    return bytes(found)


def _sigma(empty: float) -> float:
    """What the share of *empty* registers, which is below 1, adds to the estimate."""
    total, before, weight = empty, -1.0, 1.0
    while total != before:
        empty *= empty
        before = total
        total += empty * weight
        weight += weight
    return total
