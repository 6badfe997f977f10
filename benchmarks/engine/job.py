"""The job of every engine: count and sum by key, durably, and say the new sums each time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import msgspec

from benchmarks.traffic import skewed

_SEED: Final = 5
_KEYS: Final = range(10_000)


class Click(msgspec.Struct, frozen=True):
    """What comes in, as JSON."""

    id: str
    type: str
    user: str
    amount: int
    at: int
    properties: dict[str, str]


class Sums(msgspec.Struct, frozen=True, array_like=True):
    """What is kept and what goes out, as msgpack."""

    number: int = 0
    total: int = 0
    last_at: int = 0
    last_properties: dict[str, str] = {}


read_click = msgspec.json.Decoder(Click).decode
read_sums = msgspec.msgpack.Decoder(Sums).decode
write_sums = msgspec.msgpack.Encoder().encode


def add(before: Sums, click: Click) -> Sums:
    """The sums with one more click."""
    return Sums(before.number + 1, before.total + click.amount, click.at, click.properties)


def clicks(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values, about 150 B; some keys are much more frequent than others."""
    chance = random.Random(_SEED)
    for number in range(count):
        user = f"user-{skewed(chance, _KEYS):06}"
        properties = {"path": f"/p/{number % 997}", "title": f"Book {number % 997}", "device": "a"}
        click = Click(f"click-{number:012}", "clicked", user, number % 100, number, properties)
        yield user.encode(), msgspec.json.encode(click)


def right_sums(count: int) -> dict[bytes, Sums]:
    """What the job says last of every key after so many clicks."""
    sums: dict[bytes, Sums] = {}
    for key, value in clicks(count):
        sums[key] = add(sums.get(key, Sums()), read_click(value))
    return sums
