"""The bytes of public topics: the same as fastavro's, and nothing else is taken for them."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import fastavro
import fastavro.utils
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from customeros.schemas import codec
from customeros.schemas.account import AccountState
from customeros.schemas.avro_values import long_bytes, read_long
from customeros.schemas.codec import HEADER_BYTES, AvroCodec, Undecodable, parsed
from customeros.schemas.compiled import compile_codec
from customeros.schemas.customer import CustomerState, KnownIdentifier
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import Event, Order, ResolvedEvent
from customeros.schemas.identity import Assignment, Evidence, IdentityChange, IdentityLink
from support.structs import LONGS, a_value_of

CODECS: list[tuple[AvroCodec[Any], type[msgspec.Struct]]] = [
    (codec.EVENT, Event),
    (codec.RESOLVED_EVENT, ResolvedEvent),
    (codec.CUSTOMER_STATE, CustomerState),
    (codec.ACCOUNT_STATE, AccountState),
    (codec.EVIDENCE, Evidence),
    (codec.ASSIGNMENT, Assignment),
    (codec.IDENTITY_LINK, IdentityLink),
    (codec.IDENTITY_CHANGE, IdentityChange),
    (codec.DEAD_LETTER, DeadLetter),
]
ANY = pytest.mark.parametrize(("avro", "struct"), CODECS, ids=[c.name for c, _ in CODECS])
PLAIN = {avro.name: avro.plain(lambda ms: ms) for avro, _ in CODECS}
TOLD = codec.CUSTOMER_STATE.plain(str, times=("sets",), unread=("KnownIdentifier.since",))


class First(msgspec.Struct):
    """What a state begins with."""

    workspace: str
    customer_id: str
    version: int


THING, ENTRY = (codec.CUSTOMER_STATE.item(name) for name in ("things", "timeline"))
encode_given = codec.CUSTOMER_STATE.given("things", "timeline")
read_first = codec.CUSTOMER_STATE.head(First)
AN_ASSIGNMENT = Assignment(
    workspace="w", key="k", type="email", customer_id="c", version=7, epoch=0, cause="e"
)


def by_fastavro(avro: AvroCodec[Any], value: msgspec.Struct) -> bytes:
    out = io.BytesIO(bytes(HEADER_BYTES))
    out.seek(HEADER_BYTES)
    builtin = msgspec.to_builtins(value, builtin_types=(bytes,))
    fastavro.schemaless_writer(out, parsed(avro.newest.definition), builtin)
    return b"\x00" + avro.newest.id.to_bytes(4, "big") + out.getvalue()[HEADER_BYTES:]


def by_fastavro_again(data: bytes) -> bytes:
    """A customer's state, read and written by fastavro."""
    definition = parsed(codec.CUSTOMER_STATE.newest.definition)
    found = fastavro.schemaless_reader(io.BytesIO(data[HEADER_BYTES:]), definition, None)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, definition, found)
    return data[:HEADER_BYTES] + out.getvalue()


@ANY
@given(data=st.data())
def test_decode_undoes_encode(
    avro: AvroCodec[Any], struct: type[msgspec.Struct], data: st.DataObject
) -> None:
    value = data.draw(a_value_of(struct))

    assert avro.decode(avro.encode(value)) == value


@ANY
@given(data=st.data())
def test_the_bytes_are_those_of_any_other_avro_writer(
    avro: AvroCodec[Any], struct: type[msgspec.Struct], data: st.DataObject
) -> None:
    value = data.draw(a_value_of(struct))

    ours, theirs = avro.encode(value), by_fastavro(avro, value)

    assert ours == theirs
    body = io.BytesIO(ours[HEADER_BYTES:])
    found = fastavro.schemaless_reader(body, parsed(avro.newest.definition), None)
    assert msgspec.convert(found, struct) == value


@ANY
@given(data=st.data())
def test_what_is_cut_short_or_lengthened_is_undecodable(
    avro: AvroCodec[Any], struct: type[msgspec.Struct], data: st.DataObject
) -> None:
    whole = avro.encode(data.draw(a_value_of(struct)))
    kept = data.draw(st.integers(0, len(whole) - 1))

    for wrong in (whole[:kept], whole + b"\x00"):
        with pytest.raises(Undecodable):
            avro.decode(wrong)


@ANY
@given(garbage=st.binary(max_size=200), places=st.lists(st.integers(0, 10_000), max_size=5))
def test_garbage_is_a_value_or_undecodable_and_nothing_else(
    avro: AvroCodec[Any],
    struct: type[msgspec.Struct],
    garbage: bytes,
    places: list[int],
) -> None:
    damaged = bytearray(_plain_bytes(avro, struct))
    for place, byte in zip(places, garbage, strict=False):
        damaged[HEADER_BYTES + place % (len(damaged) - HEADER_BYTES)] = byte

    for wrong in (garbage, _plain_bytes(avro, struct)[:HEADER_BYTES] + garbage, bytes(damaged)):
        try:
            assert isinstance(avro.decode(wrong), struct)
        except Undecodable:
            continue


def _plain_bytes(avro: AvroCodec[Any], struct: type[msgspec.Struct]) -> bytes:
    """Something valid to damage: every schema's own example, written by fastavro."""
    example = next(iter(fastavro.utils.generate_many(parsed(avro.newest.definition), 1)))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed(avro.newest.definition), example)
    return b"\x00" + avro.newest.id.to_bytes(4, "big") + out.getvalue()


@given(data=st.data())
def test_fields_that_a_reader_does_not_need_have_their_defaults(data: st.DataObject) -> None:
    state = data.draw(a_value_of(CustomerState))
    event = data.draw(a_value_of(ResolvedEvent))
    brief = codec.CUSTOMER_STATE.without("things", "timeline", "order_days", "digest", "money")
    nameless = codec.RESOLVED_EVENT.without("order", "personal", "enrichment", "sent_at", "consent")

    metrics = replace(state.metrics, order_days={}, money={})
    assert brief.decode(codec.CUSTOMER_STATE.encode(state)) == replace(
        state, things=(), timeline=(), digest="", metrics=metrics
    )
    rest = replace(event.event, order=None, personal=None, sent_at=None, consent=())
    assert nameless.decode(codec.RESOLVED_EVENT.encode(event)) == replace(
        event, event=rest, enrichment={}
    )


@given(data=st.data())
def test_lists_whose_items_are_written_already_are_put_in_as_they_are(data: st.DataObject) -> None:
    """As any Avro reader reads them; and who does not need them passes over them in one step."""
    state = data.draw(a_value_of(CustomerState))
    things = [THING.write(thing) for thing in state.things]
    entries = [ENTRY.write(entry) for entry in state.timeline]

    found = encode_given(replace(state, things=(), timeline=()), things, entries)

    assert codec.CUSTOMER_STATE.decode(found) == state
    assert by_fastavro(codec.CUSTOMER_STATE, state) == by_fastavro_again(found)
    without = codec.CUSTOMER_STATE.without("things", "timeline")
    assert without.decode(found) == replace(state, things=(), timeline=())
    assert tuple(THING.read(thing, 0)[0] for thing in things) == state.things


@ANY
@given(data=st.data())
def test_what_is_passed_on_is_what_would_be_decoded(
    avro: AvroCodec[Any], struct: type[msgspec.Struct], data: st.DataObject
) -> None:
    """All fields, times as they are told; what does not fit is as undecodable."""
    value = data.draw(a_value_of(struct))
    written = avro.encode(value)
    plain = PLAIN[avro.name]

    assert msgspec.to_builtins(plain(written)) == msgspec.to_builtins(value)
    for wrong in (written[: data.draw(st.integers(0, len(written) - 1))], written + b"\x00"):
        with pytest.raises(Undecodable):
            plain(wrong)


@given(data=st.data())
def test_times_are_told_and_fields_left_out_where_it_is_said(data: st.DataObject) -> None:
    state = data.draw(a_value_of(CustomerState))

    found = msgspec.to_builtins(TOLD(codec.CUSTOMER_STATE.encode(state)))

    assert found["sets"] == {
        name: {member: str(at) for member, at in members.items()}
        for name, members in state.sets.items()
    }
    assert found["version"] == state.version
    assert [set(one) for one in found["identifiers"]] == [
        set(KnownIdentifier.__struct_fields__) - {"since"} for _ in state.identifiers
    ]
    assert [one["since"] for one in found["accounts"].values()] == [
        str(one.since) for one in state.accounts.values()
    ]


@given(data=st.data())
def test_the_first_fields_are_read_alone(data: st.DataObject) -> None:
    state = data.draw(a_value_of(CustomerState))
    written = codec.CUSTOMER_STATE.encode(state)
    first = First(state.workspace, state.customer_id, state.version)

    assert read_first(written) == first
    for end in range(HEADER_BYTES + 2 + len(state.workspace.encode())):
        with pytest.raises(Undecodable):
            read_first(written[:end])


@pytest.mark.parametrize("size", [2**62, 2**40, -(2**63), -1])
def test_a_length_that_lies_costs_no_memory(size: int) -> None:
    """Neither a string nor an array of 2^62 items is believed before its bytes are seen."""
    header = codec.CUSTOMER_STATE.encode(CustomerState(workspace="w", customer_id="c", version=1))
    start = header[:HEADER_BYTES]
    text = start + long_bytes(size) + b"x"
    items = start + b"\x02w\x02c\x02\x00\x00" + long_bytes(size) + b"\x02" * 50
    brief = codec.CUSTOMER_STATE.without("identifiers", "merged_into")
    tracemalloc.start()

    for bomb in (text, items):
        for reader in (codec.CUSTOMER_STATE, brief):
            with pytest.raises(Undecodable):
                reader.decode(bomb)

    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_arrays_in_blocks_with_their_size_are_read() -> None:
    """Java writers may give a block's size in bytes after a negative count."""
    record = {
        "type": "record",
        "name": "Evidence",
        "fields": [{"name": "left", "type": {"type": "array", "items": "string"}}],
    }

    class Left(msgspec.Struct):
        left: tuple[str, ...] = ()

    two_blocks = long_bytes(-2) + long_bytes(4) + b"\x02a\x02b" + long_bytes(1) + b"\x02c\x00"

    assert compile_codec(record, Left).read(two_blocks, 0) == (
        Left(("a", "b", "c")),
        len(two_blocks),
    )
    unread = compile_codec(record, Left, unread=("left",))
    assert unread.read(two_blocks, 0) == (Left(), len(two_blocks))


@given(number=LONGS, at=st.integers(0, 3))
def test_a_long_is_read_as_it_was_written(number: int, at: int) -> None:
    written = long_bytes(number)

    assert read_long(bytes(at) + written + b"\xff\xff", at) == (number, at + len(written))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_beyond_64_bits_is_not_written(number: int) -> None:
    with pytest.raises(OverflowError):
        codec.ASSIGNMENT.encode(msgspec.structs.replace(AN_ASSIGNMENT, version=number))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"{}",
        codec.EVENT.encode.__name__.encode(),
        b"\x01" + codec.ASSIGNMENT.encode(AN_ASSIGNMENT)[1:],
        b"\x00\x00\x00\x00\x01" + codec.ASSIGNMENT.encode(AN_ASSIGNMENT)[HEADER_BYTES:],
    ],
)
def test_what_has_not_the_header_of_its_topic_is_undecodable(data: bytes) -> None:
    for avro, _ in CODECS:
        with pytest.raises(Undecodable):
            avro.decode(data)


def test_a_record_of_another_topic_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        codec.EVENT.decode(codec.ASSIGNMENT.encode(AN_ASSIGNMENT))


def test_a_schema_that_differs_from_its_struct_does_not_compile() -> None:
    event = codec.EVENT.newest.definition

    with pytest.raises(TypeError):
        compile_codec(event, Order)
    with pytest.raises(TypeError):
        compile_codec({**event, "fields": event["fields"][1:]}, Event)
    as_text = [
        {**field, "type": "string"} if field["name"] == "occurred_at" else field
        for field in event["fields"]
    ]
    with pytest.raises(TypeError):
        compile_codec({**event, "fields": as_text}, Event)
