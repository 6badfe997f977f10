"""JSON as the columns of tables take it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec


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
    return "{" + ",".join(f"{json.dumps(path)}:{leaf}" for path, leaf in leaves.items()) + "}"


def plain(text: str) -> str:
    """The text that a JSON string holds; other JSON as it is."""
    if not text.startswith('"'):
        return text
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.DecodeError, UnicodeError):
        return text


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
