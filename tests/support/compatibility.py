"""Whether today's schema reads what an older one wrote, by Avro's rules of resolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_PROMOTIONS = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}


def incompatibilities(reader: Any, writer: Any) -> list[str]:
    """What of *writer*'s records *reader* could not read, as paths with a reason; empty: all."""
    return list(_differences(reader, writer, "", _named(reader), _named(writer)))


def _differences(
    reader: Any, writer: Any, path: str, readers: dict[str, Any], writers: dict[str, Any]
) -> Iterator[str]:
    reader, writer = _plain(reader, readers), _plain(writer, writers)
    if isinstance(writer, list):
        for branch in writer:
            yield from _differences(reader, branch, path, readers, writers)
    elif isinstance(reader, list):
        found = [list(_differences(one, writer, path, readers, writers)) for one in reader]
        if all(found):
            yield f"{path}: no branch for {_kind(writer)}"
    elif _kind(reader) != _kind(writer):
        if (_kind(writer), _kind(reader)) not in _PROMOTIONS:
            yield f"{path}: {_kind(writer)} became {_kind(reader)}"
    elif _kind(reader) == "record":
        yield from _field_differences(reader, writer, path, readers, writers)
    elif _kind(reader) == "enum":
        gone = set(writer["symbols"]) - set(reader["symbols"])
        if gone and "default" not in reader:
            yield f"{path}: lost {sorted(gone)}"
    elif _kind(reader) in ("array", "map"):
        part = "items" if _kind(reader) == "array" else "values"
        yield from _differences(reader[part], writer[part], f"{path}[]", readers, writers)


def _field_differences(
    reader: Any, writer: Any, path: str, readers: dict[str, Any], writers: dict[str, Any]
) -> Iterator[str]:
    written = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        inner = f"{path}/{field['name']}"
        if field["name"] in written:
            other = written[field["name"]]["type"]
            yield from _differences(field["type"], other, inner, readers, writers)
        elif "default" not in field:
            yield f"{inner}: added without a default"


def _kind(schema: Any) -> str:
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _plain(schema: Any, names: dict[str, Any]) -> Any:
    if isinstance(schema, str):
        return names.get(schema, schema)
    if isinstance(schema, dict) and isinstance(schema["type"], str) and "logicalType" in schema:
        return schema["type"]
    return schema


def _named(schema: Any) -> dict[str, Any]:
    """Every record and enum of *schema* by its name."""
    found: dict[str, Any] = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= _named(branch)
    elif isinstance(schema, dict):
        if "name" in schema and schema.get("type") in ("record", "enum"):
            found[schema["name"]] = schema
        for field in schema.get("fields", ()):
            found |= _named(field["type"])
        for part in ("items", "values"):
            found |= _named(schema.get(part))
    return found
