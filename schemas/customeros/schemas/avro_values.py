"""
The values that Avro's binary form is made of: longs, sizes, counts and texts, there and back.

What comes again and again is looked up instead of computed; `HELPERS` names it all for the code
that `compiled` generates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from customeros.schemas.remembered import Remembered

_LONG_BITS: Final = 64
_LONG_BYTES: Final = 10
_CONTINUED: Final = 0x808080808080
_SIX_BYTES: Final = 0x008080808080
# A state is written and read again and again with the times and words that it had before.
MANY: Final = 16_384
_WORDS: Final = 4_096
_WORD_CHARACTERS: Final = 100


def long_bytes(number: int) -> bytes:
    """Avro's zigzag varint of *number*; OverflowError beyond 64 bits."""
    rest = (number << 1) ^ (number >> (_LONG_BITS - 1))
    if rest >> 35 and not rest >> 42:  # times of the years 1987 to 2039 in ms
        pairs = rest & 0x3FFF | (rest & 0xFFFC000) << 2 | (rest & 0x3FFF0000000) << 4
        six = pairs & 0x7F007F007F | (pairs & 0x3F803F803F80) << 1
        return (six | _SIX_BYTES).to_bytes(6, "little")
    if not 0 <= rest < 1 << _LONG_BITS:
        raise OverflowError("a long has 64 bits")
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The long at *at* and the position after it."""
    time = TIME[data[at : at + 6]]
    if time is not None:
        return time, at + 6
    number = shift = 0
    for place in range(at, at + _LONG_BYTES):
        byte = data[place]
        number |= (byte & 127) << shift
        if byte < 128:
            if number >> _LONG_BITS:
                break
            return (number >> 1) ^ -(number & 1), place + 1
        shift += 7
    raise ValueError("a long has 64 bits")


def _time(data: bytes) -> int | None:
    """The long that six bytes are, as `long_bytes` writes times; None: they are none."""
    six = int.from_bytes(data, "little")
    if six & _CONTINUED != _SIX_BYTES:
        return None
    pairs = six & 0x7F007F007F | (six & 0x7F007F007F00) >> 1
    number = pairs & 0x3FFF | pairs >> 2 & 0xFFFC000 | pairs >> 4 & 0x3FFF0000000
    return (number >> 1) ^ -(number & 1)


# The time that six bytes are.
TIME: Final = Remembered(_time, most=MANY)


def _read_size(data: bytes, at: int) -> tuple[int, int]:
    size, at = read_long(data, at)
    if size < 0:
        raise ValueError("a size is not negative")
    return size, at


def _read_block(data: bytes, at: int) -> tuple[int, int | None, int]:
    """The number of items of a block, their size in bytes where it is given, and their position."""
    count, at = read_long(data, at)
    if count == 0:
        raise ValueError("zero takes one byte")
    if count > 0:
        return count, None, at
    return (-count, *_read_size(data, at))


def _read_count(data: bytes, at: int) -> tuple[int, int]:
    """The number of items to read, and their position."""
    count, _, at = _read_block(data, at)
    return count, at


def _skip_block(data: bytes, at: int) -> tuple[int, int]:
    """The number of items that have yet to be passed over: none where their size is given."""
    count, size, at = _read_block(data, at)
    return (count, at) if size is None else (0, at + size)


def text_bytes(text: str) -> bytes:
    """Avro's string: the size, then UTF-8."""
    data = text.encode()
    return long_bytes(len(data)) + data


def end_of_text(data: bytes, at: int) -> int:
    """The position after the string at *at*."""
    step = _STEP[data[at]]
    if step:
        return at + step
    size, at = _read_size(data, at)
    return at + size


def _text(text: str) -> str:
    return as_text(text_bytes(text))


class _Words(Remembered[str, str]):
    """The text of words; those too long to come again are not remembered."""

    def __missing__(self, key: str) -> str:
        return _text(key) if len(key) > _WORD_CHARACTERS else super().__missing__(key)


def as_text(data: bytes) -> str:
    """One character for each byte."""
    return data.decode("latin-1")


# By the first byte: the long that it is alone; the bytes of a text whose size it is, itself too.
_SMALL: Final = [None if byte > 127 else (byte >> 1) ^ -(byte & 1) for byte in range(256)]
_STEP: Final = [0 if size is None or size < 0 else 1 + size for size in _SMALL]

HELPERS: Final[Mapping[str, Any]] = {
    "SMALL": _SMALL,
    "STEP": _STEP,
    "LONG": Remembered(lambda number: as_text(long_bytes(number)), most=MANY),
    "WORD": _Words(_text, most=_WORDS),
    "as_text": as_text,
    "TIME": TIME,
    "read_long": read_long,
    "read_size": _read_size,
    "read_count": _read_count,
    "skip_block": _skip_block,
}
