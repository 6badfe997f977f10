"""
Bytes of a public topic: Avro in the schema registry's wire format.

A zero byte, the schema's id in four bytes, then the Avro record, as any Confluent-compatible
deserializer reads it. Ids are fixed in `avro/schemas.json` and the same in every registry.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_args, get_type_hints

import fastavro
import msgspec

from customeros.schemas.account import AccountState
from customeros.schemas.compiled import Compiled, compile_codec, compile_plain
from customeros.schemas.customer import CustomerState
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import Event, ResolvedEvent
from customeros.schemas.identity import Assignment, Evidence, IdentityChange, IdentityLink

T = TypeVar("T", bound=msgspec.Struct)
H = TypeVar("H", bound=msgspec.Struct)

MAGIC: Final = b"\x00"
HEADER_BYTES: Final = 5


class ReleasedSchema(NamedTuple):
    """A schema as it was released; never changed, only succeeded by a higher version."""

    id: int
    name: str
    version: int
    definition: dict[str, Any]


class Undecodable(ValueError):
    """The bytes are not of the schema they name, or name none that was released."""


@cache
def released_schemas() -> Mapping[int, ReleasedSchema]:
    """Every schema ever released, by id."""
    folder = files("customeros.schemas").joinpath("avro")
    index = json.loads(folder.joinpath("schemas.json").read_text())
    return {
        int(number): ReleasedSchema(
            id=int(number),
            definition=json.loads(folder.joinpath(f"{name}.v{version}.avsc").read_text()),
            name=name,
            version=version,
        )
        for number, (name, version) in ((n, (s["name"], s["version"])) for n, s in index.items())
    }


class AvroCodec(Generic[T]):
    """
    Values of one struct to and from the bytes of its topic.

    Written with the newest released version, read from any.
    """

    def __init__(self, name: str, struct: type[T]) -> None:
        self.name = name
        self._struct = struct
        versions = sorted((s for s in released_schemas().values() if s.name == name), key=_version)
        self.newest = versions.pop()
        self._header = _header(self.newest)
        self._compiled = compile_codec(self.newest.definition, struct)
        self._older = {_header(schema): schema.definition for schema in versions}

    def encode(self, value: T) -> bytes:
        """Header and Avro record of *value*."""
        return self._header + self._compiled.write(value)

    def decode(self, data: bytes) -> T:
        """
        The value of *data*.

        Raises:
            Undecodable: no header, a schema of another topic, or bytes that do not fit it.
        """
        header = data[:HEADER_BYTES]
        try:
            if header == self._header:
                value, end = self._compiled.read(data, HEADER_BYTES)
                if end != len(data):
                    raise EOFError
                return value  # type: ignore[no-any-return]  # generated for this struct
            if header in self._older:
                return self._upgraded(data, self._older[header])
        except _MISFITS as error:
            raise Undecodable(f"not a {self.name}: {type(error).__name__}") from error
        raise Undecodable(f"no {self.name} in the registry's wire format")

    def head(self, struct: type[H]) -> Callable[[bytes], H]:
        """A decoder of the first fields alone, those of *struct*; it raises as `decode`."""
        count = len(struct.__struct_fields__)
        definition = {**self.newest.definition, "fields": self.newest.definition["fields"][:count]}
        return self._decoder(compile_codec(definition, struct).read, whole=False)

    def item(self, field: str) -> Compiled:
        """The writer and the reader of one item of the array *field*, a record."""
        definition = next(f for f in self.newest.definition["fields"] if f["name"] == field)
        item_struct, _ = get_args(get_type_hints(self._struct)[field])
        return compile_codec(definition["type"]["items"], item_struct)

    def given(self, *fields: str) -> Callable[..., bytes]:
        """
        `encode` for who has the items of the arrays *fields* as Avro: it takes them, a sequence
        for each, as further arguments, and not from the value.
        """
        write = compile_codec(self.newest.definition, self._struct, given=fields).write
        header = self._header
        return lambda value, *items: header + write(value, *items)

    def plain(
        self,
        time: Callable[[int], Any],
        *,
        times: Collection[str] = (),
        unread: Collection[str] = (),
    ) -> Callable[[bytes], Any]:
        """A decoder for those who pass it on as JSON, see `compile_plain`; raises as `decode`."""
        newest = self.newest.definition
        read = compile_plain(newest, self._struct, time=time, times=times, unread=unread)
        return self._decoder(read, whole=True)

    def without(self, *fields: str) -> AvroCodec[T]:
        """The same for a reader who does not need *fields*: they have their defaults."""
        reader = copy.copy(self)
        reader._compiled = compile_codec(self.newest.definition, self._struct, unread=fields)
        return reader

    def record_in(self, data: bytes) -> bytes:
        """
        The Avro record in *data* as the newest version writes it; of that version it is not read.

        Raises:
            Undecodable: as `decode`, but for a record of the newest version that does not fit it.
        """
        if not data.startswith(self._header):
            data = self.encode(self.decode(data))
        return data[HEADER_BYTES:]

    def _decoder(
        self, read: Callable[[bytes, int], tuple[Any, int]], *, whole: bool
    ) -> Callable[[bytes], Any]:
        """What *read* makes of a record of any version; *whole*: it reads to the end."""

        def decode(data: bytes) -> Any:
            if not data.startswith(self._header):
                data = self.encode(self.decode(data))
            try:
                value, end = read(data, HEADER_BYTES)
                if (whole and end != len(data)) or end > len(data):
                    raise EOFError
            except _MISFITS as error:
                raise Undecodable(f"not a {self.name}: {type(error).__name__}") from error
            return value

        return decode

    def _upgraded(self, data: bytes, writer: dict[str, Any]) -> T:
        """Of an older version, by Avro's rules of schema resolution; slow, and rare."""
        body = io.BytesIO(data)
        body.seek(HEADER_BYTES)
        newest = parsed(self.newest.definition)
        found = fastavro.schemaless_reader(body, parsed(writer), newest)
        if body.tell() != len(data):
            raise EOFError
        return msgspec.convert(found, self._struct)


# What reading bytes that are not of their schema raises, here and in fastavro.
_MISFITS: Final = (
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    KeyError,
    OverflowError,
    MemoryError,
)


def _header(schema: ReleasedSchema) -> bytes:
    return MAGIC + schema.id.to_bytes(4, "big")


def parsed(definition: dict[str, Any]) -> Any:
    """
    *definition* as fastavro takes it, without logical types.

    Our own times are integers: the same bytes, without a datetime for each.
    """
    plain = copy.deepcopy(definition)
    _drop_logical_types(plain)
    return fastavro.parse_schema(plain)


def _version(schema: ReleasedSchema) -> int:
    return schema.version


def _drop_logical_types(node: Any) -> None:
    if isinstance(node, dict):
        node.pop("logicalType", None)
        for value in node.values():
            _drop_logical_types(value)
    elif isinstance(node, list):
        for value in node:
            _drop_logical_types(value)


EVENT: Final = AvroCodec("event", Event)
RESOLVED_EVENT: Final = AvroCodec("resolved_event", ResolvedEvent)
CUSTOMER_STATE: Final = AvroCodec("customer_state", CustomerState)
ACCOUNT_STATE: Final = AvroCodec("account_state", AccountState)
EVIDENCE: Final = AvroCodec("evidence", Evidence)
ASSIGNMENT: Final = AvroCodec("assignment", Assignment)
IDENTITY_LINK: Final = AvroCodec("identity_link", IdentityLink)
IDENTITY_CHANGE: Final = AvroCodec("identity_change", IdentityChange)
DEAD_LETTER: Final = AvroCodec("dead_letter", DeadLetter)
