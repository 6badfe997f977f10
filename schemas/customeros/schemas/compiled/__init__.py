"""
Avro of a struct as straight-line Python, generated once from its schema and its annotations.

What a general codec decides for each value (which branch, which field, which type) is decided
here for the schema. The bytes are the same as any other Avro writer's. They are put together as
text of one character a byte (Latin-1): most are text already, and Python is quick to join it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from customeros.schemas.compiled.reader import PlainReader, Reader
from customeros.schemas.compiled.writer import Writer

T = TypeVar("T", bound=msgspec.Struct)


class Compiled(NamedTuple):
    """
    Args:
        write: the Avro bytes of a value (and of what is given beside it).
        read: the value at a position of some bytes, and the position after it; raises
            IndexError, ValueError or KeyError where the bytes do not fit.
    """

    write: Callable[..., bytes]
    read: Callable[[bytes, int], tuple[Any, int]]


def compile_codec(
    definition: Mapping[str, Any],
    struct: type[T],
    *,
    given: Sequence[str] = (),
    unread: Collection[str] = (),
) -> Compiled:
    """
    The writer and the reader of *struct* by the record schema *definition*.

    Args:
        given: arrays of the record that the writer takes from further arguments, in this order:
            sequences of items that are Avro already.
        unread: fields, at any depth or `Record.field`, that the reader passes over; they get
            their defaults.

    Raises:
        TypeError: schema and struct differ, or the schema has what no released one has.
    """
    return Compiled(
        Writer(given).compiled(definition, struct), Reader(unread).compiled(definition, struct)
    )


def compile_plain(
    definition: Mapping[str, Any],
    struct: type[msgspec.Struct],
    *,
    time: Callable[[int], Any],
    times: Collection[str] = (),
    unread: Collection[str] = (),
) -> Callable[[bytes, int], tuple[Any, int]]:
    """
    A reader of *struct* for those who pass it on as JSON: a time is what *time* says.

    It makes structs of its own, which can be changed and take a third of the time to make.

    Args:
        time: of ms since the epoch.
        times: fields whose longs are times, though the schema does not say so.
        unread: fields, at any depth or `Record.field`, that are passed over; they are missing.

    Raises:
        TypeError: as `compile_codec`.
    """
    return PlainReader(time, times, unread).compiled(definition, struct)
