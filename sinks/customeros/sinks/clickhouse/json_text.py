"""JSON as the columns of tables take it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

# What it takes to make a decoder is more than what it takes to decode a name.
_TEXT: Final = msgspec.json.Decoder(str)


def json_object(members: Iterable[tuple[str, str]]) -> str:
    """
    One JSON object of names and their JSON texts, as a JSON column takes it.

    To the column a dot in a name is a way into an object, so objects are flattened and of two
    values at one path the first stays. What is not JSON after all becomes text.
    """
    leaves: dict[str, str] = {}
    for name, text in members:
        for path, leaf in _leaves(name, text):
            leaves.setdefault(path, leaf)
    return "{" + ",".join([f"{_quoted(path)}:{leaf}" for path, leaf in leaves.items()]) + "}"


def plain(text: str) -> str:
    """The text that a JSON string holds; other JSON as it is."""
    if not text.startswith('"'):
        return text
    try:
        return _TEXT.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return text


@lru_cache(4096)  # of traits, whose names are few
def _quoted(name: str) -> str:
    return json.dumps(name)


def _leaves(name: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        value = msgspec.json.decode(text)
        if isinstance(value, dict | list):
            for path, leaf in _flat(name, value):
                yield path, msgspec.json.encode(leaf).decode()
        else:
            yield name, text
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        yield name, json.dumps(text)


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}", inner)
    elif isinstance(value, list):
        yield path, [_flat_item(item) for item in value]
    else:
        yield path, value


def _flat_item(item: Any) -> Any:
    if isinstance(item, dict):
        flat: dict[str, Any] = {}
        for name, inner in item.items():
            for path, leaf in _flat(name, inner):
                flat.setdefault(path, leaf)
        return flat
    return [_flat_item(inner) for inner in item] if isinstance(item, list) else item
