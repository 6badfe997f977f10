"""Every schema ever released is still read, and agrees with today's structs."""

from __future__ import annotations

import copy
import io
import typing
from collections.abc import Callable
from itertools import combinations
from typing import Any

import fastavro
import fastavro.utils
import msgspec
import pytest

from customeros.schemas import codec
from customeros.schemas.codec import AvroCodec, ReleasedSchema, parsed, released_schemas
from customeros.schemas.event import Event
from customeros.schemas.topics import TOPICS
from support.compatibility import incompatibilities

CODECS: dict[str, AvroCodec[Any]] = {
    found.name: found for found in vars(codec).values() if isinstance(found, AvroCodec)
}
RELEASED = pytest.mark.parametrize(
    "schema", released_schemas().values(), ids=lambda s: f"{s.name}.v{s.version}"
)


@RELEASED
def test_bytes_of_every_released_schema_are_read(schema: ReleasedSchema) -> None:
    writer = parsed(schema.definition)
    for example in fastavro.utils.generate_many(writer, 20):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, example)

        value = CODECS[schema.name].decode(b"\x00" + schema.id.to_bytes(4, "big") + out.getvalue())

        if schema is CODECS[schema.name].newest:
            assert value == msgspec.convert(example, type(value))


@pytest.mark.parametrize("name", CODECS)
def test_each_version_reads_all_before_it(name: str) -> None:
    """BACKWARD_TRANSITIVE, as a registry would check it."""
    versions = sorted(
        (s for s in released_schemas().values() if s.name == name), key=lambda s: s.version
    )

    assert [s.version for s in versions] == list(range(1, len(versions) + 1))
    for older, newer in combinations(versions, 2):
        assert not incompatibilities(newer.definition, older.definition)


def test_every_public_topic_has_a_codec() -> None:
    assert {topic.schema for topic in TOPICS if topic.schema} == set(CODECS)


@pytest.mark.parametrize("avro", CODECS.values(), ids=CODECS)
def test_defaults_in_the_schema_are_those_of_the_struct(avro: AvroCodec[Any]) -> None:
    _assert_same_defaults(avro.newest.definition, avro._struct)


def _assert_same_defaults(record: dict[str, Any], struct: Any) -> None:
    hints = typing.get_type_hints(struct)
    by_name = {field.name: field for field in msgspec.structs.fields(struct)}
    for field in record["fields"]:
        own = by_name[field["name"]]
        default = own.default
        if own.default_factory is not msgspec.NODEFAULT:
            default = own.default_factory()
        if default is msgspec.NODEFAULT:
            assert "default" not in field, f"{record['name']}.{own.name}"
        else:
            builtin = msgspec.json.decode(msgspec.json.encode(default))
            assert field["default"] == builtin, f"{record['name']}.{own.name}"
        for inner_record, inner_struct in _records(field["type"], hints[own.name]):
            _assert_same_defaults(inner_record, inner_struct)


def _records(schema: Any, kind: Any) -> list[tuple[dict[str, Any], Any]]:
    """The records directly inside *schema*, each with the struct that stands for it."""
    if isinstance(schema, dict) and schema["type"] == "record":
        return [(schema, kind)]
    inner: list[Any] = []
    if isinstance(schema, list):
        inner = schema
    elif isinstance(schema, dict):
        inner = [schema.get("items", schema.get("values"))]
    structs = [part for part in typing.get_args(kind) if part not in (type(None), str, ...)]
    return [pair for part in inner if structs for pair in _records(part, structs[0])]


def _with(change: Callable[[dict[str, dict[str, Any]]], object]) -> Any:
    """The event schema with *change* applied to its fields by name."""
    changed = copy.deepcopy(CODECS["event"].newest.definition)
    fields = {field["name"]: field for field in changed["fields"]}
    change(fields)
    changed["fields"] = list(fields.values())
    return changed


def _add(**field: Any) -> Callable[[dict[str, dict[str, Any]]], None]:
    return lambda fields: fields.update({"added": {"name": "added", **field}})


def _retype(name: str, to: Any) -> Callable[[dict[str, dict[str, Any]]], None]:
    return lambda fields: fields[name].update(type=to)


@pytest.mark.parametrize(
    "change",
    [
        _add(type="string", default=""),
        _add(type=["null", "string"], default=None),
        lambda fields: fields.pop("sent_at"),
        lambda fields: fields["family"]["type"]["symbols"].append("financial"),
        _retype("name", ["null", "string"]),
    ],
    ids=["default", "optional", "removed", "symbol", "nullable"],
)
def test_what_old_bytes_can_answer_is_compatible(change: Any) -> None:
    released = CODECS["event"].newest.definition

    assert not incompatibilities(_with(change), released)


@pytest.mark.parametrize(
    "change",
    [
        _add(type="string"),
        _retype("name", "long"),
        _retype("sent_at", "long"),
        lambda fields: fields["family"]["type"]["symbols"].pop(),
        lambda fields: fields["order"]["type"][1]["fields"].append(
            {"name": "shop", "type": "string"}
        ),
    ],
    ids=["required", "retyped", "narrowed", "symbol", "nested"],
)
def test_what_old_bytes_cannot_answer_is_found(change: Any) -> None:
    released = CODECS["event"].newest.definition

    assert incompatibilities(_with(change), released)


def test_bytes_of_an_older_version_get_todays_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event written before `consent` and `message` were known."""
    newest = CODECS["event"].newest
    older = _with(lambda fields: [fields.pop(name) for name in ("consent", "message")])
    schemas = {
        1: ReleasedSchema(1, "event", 1, older),
        newest.id: newest._replace(version=2),
    }
    monkeypatch.setattr(codec, "released_schemas", lambda: schemas)
    writer = parsed(older)
    example = next(iter(fastavro.utils.generate_many(writer, 1)))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, writer, example)

    value = AvroCodec("event", Event).decode(b"\x00\x00\x00\x00\x01" + out.getvalue())

    assert (value.event_id, value.consent, value.message) == (example["event_id"], (), None)
