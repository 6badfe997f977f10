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
from functools import lru_cache
from hashlib import blake2b
from typing import Final

EXACT: Final = 64
_HASH_BYTES: Final = 8
_EXACT_BYTES: Final = EXACT * _HASH_BYTES
_INDEX_BITS: Final = 10
_REGISTERS: Final = 1 << _INDEX_BITS
_RANK_BITS: Final = 8 * _HASH_BYTES - _INDEX_BITS
_RANKED: Final = (1 << _RANK_BITS) - 1
_HIGH_BITS: Final = int.from_bytes(b"\x80" * _REGISTERS, "big")
# One more than are exact: a set that grows has them until it is counted the other way.
_OF_NUMBERS: Final = [struct.Struct(f">{n}Q") for n in range(EXACT + 2)]
_FEW: Final = 8
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
    different = frozenset(sets)
    if len(different) == 1:
        return next(iter(different))
    return (_union_again if len(different) <= _FEW else _union)(different)


def count(known: bytes) -> int:
    """
    How many are in the set: exact up to 64, beyond with a standard error of 3.3 %.

    The estimate is Ertl's improved one (arXiv:1702.01284, algorithm 6), which needs no tables.
    It adds and multiplies only, so that every machine gives the same number.
    """
    if len(known) != _REGISTERS:
        return len(known) // _HASH_BYTES
    return _estimate(known)


def _union(sets: Iterable[bytes]) -> bytes:
    found, numbers = b"", set[int]()
    for each in sets:
        if len(each) != _REGISTERS:
            numbers.update(_numbers(each))
        else:
            found = _greater(found, each) if found else each
    if found or len(numbers) > EXACT:
        return _raised(found or bytes(_REGISTERS), numbers)
    return _OF_NUMBERS[len(numbers)].pack(*sorted(numbers))


# Of the few identifiers of a customer one tells something new, and seldom of everything.
_union_again: Final = lru_cache(maxsize=1024)(_union)


# Most that a large set hears of it knew already: its registers stay as they are.
@lru_cache(maxsize=512)
def _estimate(known: bytes) -> int:
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
    return _OF_NUMBERS[len(known) // _HASH_BYTES].unpack(known)


def _greater(one: bytes, other: bytes) -> bytes:
    """
    The greater of each two registers, of all at once.

    No register reaches 128: the high bit of each is free to tell, after one subtraction, whether
    it was at least the other's.
    """
    mine, others = int.from_bytes(one, "big"), int.from_bytes(other, "big")
    at_least = ((mine | _HIGH_BITS) - others) & _HIGH_BITS
    chosen = others ^ ((mine ^ others) & (at_least - (at_least >> 7)))
    return chosen.to_bytes(_REGISTERS, "big")


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
