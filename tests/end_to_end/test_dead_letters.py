"""Bad input gets the documented answer or is a dead letter that can be found, read and replayed."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from customeros.ops.dead_letter_log import Found, read_dead_letters
from customeros.runtime.settings import Settings
from customeros.schemas.codec import EVENT
from customeros.schemas.event import Family
from customeros.schemas.topics import EVENTS
from support import samples
from support.collecting import ask
from support.waiting import until
from support.whole_stack import WholeStack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_ARRIVAL_SECONDS = 60


def _post(stack: WholeStack, body: bytes, *, key: str | None = None) -> int:
    credentials = base64.b64encode(f"{key or stack.write_key}:".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    return ask(stack.settings.collector.port, "POST", "/v1/batch", body, headers).status


def _batch(*calls: str) -> bytes:
    return ('{"batch":[' + ",".join(calls) + "]}").encode()


def _call(name: str, message_id: str, **fields: Any) -> str:
    call = {"type": "track", "event": name, "userId": f"u-{message_id}", "messageId": message_id}
    return json.dumps({**call, **fields})


def _events(stack: WholeStack, name: str) -> dict[str, dict[str, Any]]:
    """The properties of each event of this name that ClickHouse has, by its id."""
    rows = stack.query(f"SELECT event_id, properties FROM events WHERE name = '{name}'")  # noqa: S608
    assert len({event_id for event_id, _ in rows}) == len(rows), "an event is there twice"
    return {str(event_id): json.loads(str(properties)) for event_id, properties in rows}


def _letters(stack: WholeStack) -> list[Found]:
    """By partition and offset, read in this process: a command takes a second to start."""
    return list(read_dead_letters(stack.settings))


def _arrived(stack: WholeStack, name: str, count: int) -> dict[str, dict[str, Any]]:
    until(
        lambda: len(_events(stack, name)) == count,
        seconds=_ARRIVAL_SECONDS,
        every=0.2,
        what=f"{count} events {name}",
    )
    return _events(stack, name)


def test_bad_input_is_refused_mended_or_a_dead_letter_and_none_vanishes(
    shared_stack: WholeStack, unique: str
) -> None:
    """The list of the collector's documentation, through the whole stack."""
    name = unique + "bad-input"
    refused = {
        b"{": 400,
        b'{"batch": 7}': 400,
        _batch("[" * 5_000 + "]" * 5_000): 400,
        b" " * 512_001: 413,
        _batch(*["{}"] * 2_501): 413,
        gzip.compress(b"[" * 20_000_000): 413,
        b"\x1f\x8b nothing": 400,
    }
    many = {f"k{n}": n for n in range(10_000)}
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    dead = {
        "7": "not_an_object",
        _call(name, "d1", type="sell"): "unknown_type",
        _call(name, "d2", properties=[1]): "bad_properties",
        _call(name, "d3", properties={"a": "x" * 32_768}): "too_large",
        _call(name, "d4", properties=many): "too_large",
        _call(name, "d5", userId=""): "no_identifier",
        _call(name, "d6", userId=None): "no_identifier",
        _call(name, "d7", properties={"a": deep}): "too_deep",
        _call("x" * 257, "d8"): "bad_event_name",
        _call(name, "d9", messageId="x" * 257): "bad_message_id",
        _call(name, "d10", properties={"unique": unique}, traits=1): "bad_traits",
    }
    mended = {
        _call(name, "m1", properties={"a": float("nan")}): {"a": None},
        _call(name, "m2", properties={"a": "cut \ud83d"}): {"a": "cut \ufffd"},
        _call(name, "m3", properties={"a": "NUL \0"}): {"a": "NUL \ufffd"},
        _call(name, "m4", timestamp="9999-12-31T23:59:59Z"): {},
        _call(name, "m5", timestamp="0001-01-01T00:00:00Z"): {},
        _call(name, "m6", userId=7): {},
    }
    before = {letter.id for letter in _letters(shared_stack)}

    assert {body[:20]: _post(shared_stack, body) for body in refused} == {
        body[:20]: status for body, status in refused.items()
    }
    assert _post(shared_stack, _batch(*mended), key="wrong") == 401
    body = _batch(*dead, *mended, *mended).ljust(512_000)
    assert _post(shared_stack, body) == 200
    assert _post(shared_stack, body) == 200, "a retry is taken as well"

    events = _arrived(shared_stack, name, len(mended))
    assert [events[f"m{n}"] for n in range(1, 7)] == list(mended.values())
    letters = [found for found in _letters(shared_stack) if found.id not in before]
    assert sorted(found.letter.reason for found in letters) == sorted([*dead.values()] * 2)
    assert {(f.letter.stage, f.letter.origin.topic) for f in letters} == {("collector", None)}
    newest = [found.id for found in letters if found.letter.reason == "bad_traits"][-1]
    listed = shared_stack.run("dead-letters", "list", "--json", "--reason", "bad_traits")
    assert {"bad_traits"} == {json.loads(line)["reason"] for line in listed.stdout.splitlines()}
    assert newest in {json.loads(line)["id"] for line in listed.stdout.splitlines()}
    shown = shared_stack.run("dead-letters", "show", newest)
    assert unique in shown.stdout
    partition, offset = newest.split("-")
    until(
        lambda: (
            shared_stack.query(
                "SELECT reason, origin_topic FROM dead_letters"  # noqa: S608
                f" WHERE _partition = {partition} AND _offset = {offset}"
            )
            == [("bad_traits", "")]
        ),
        seconds=_ARRIVAL_SECONDS,
        every=0.2,
        what="the dead letter is in ClickHouse",
    )


def test_garbage_on_a_topic_is_a_dead_letter_with_its_place_and_the_stream_goes_on(
    shared_stack: WholeStack, unique: str
) -> None:
    """What an ill-behaved producer writes past the collector."""
    name = unique + "garbage"
    restarts = shared_stack.restarts()
    topic = EVENTS[Family.BEHAVIORAL].name
    good = EVENT.encode(msgspec.structs.replace(samples.EVENT, name=name))
    garbage = [b"", b"garbage", b"\0\0\0\0\0", good[: len(good) // 2], good[:5] + b"\xff" * 60]
    places = _produce(shared_stack.settings, topic, [(b"default/x", value) for value in garbage])
    places += _produce(shared_stack.settings, topic, [(b"default/other", good), (None, good)])
    assert _post(shared_stack, _batch(*(_call(name, f"g{n}") for n in range(20)))) == 200

    _arrived(shared_stack, name, 20)
    expected = {(topic, partition, offset) for partition, offset in places}

    def found() -> dict[tuple[str | None, int | None, int | None], Found]:
        origins = ((f, f.letter.origin) for f in _letters(shared_stack))
        return {(o.topic, o.partition, o.offset): f for f, o in origins}

    until(lambda: expected <= found().keys(), seconds=_ARRIVAL_SECONDS, what="each is one")
    letters = found()
    assert {letters[place].letter.stage for place in expected} == {"resolve"}
    assert [letters[topic, *place].letter.value for place in places] == [*garbage, good, good]
    assert all(letters[place].letter.reason for place in expected)
    first = letters[topic, *places[1]]
    shown = shared_stack.run("dead-letters", "show", first.id).stdout
    assert f"{topic}:{places[1][0]}:{places[1][1]}" in shown
    assert "\ngarbage\n" in shown
    again = shared_stack.run("dead-letters", "replay", first.id)
    assert again.returncode == 1
    assert f"{first.id}: refused: undecodable" in again.stdout
    assert shared_stack.restarts() == restarts


def test_a_dead_letter_replayed_after_mending_the_cause_arrives_once(
    shared_stack: WholeStack, unique: str, tmp_path: Path
) -> None:
    """However often it is replayed; while the cause stands, the refusal says why."""
    name = unique + "replayed"
    before = {letter.id for letter in _letters(shared_stack)}
    calls = [
        json.dumps({"type": "track", "event": name, "userId": "walk-in", "n": n}) for n in (1, 2)
    ]
    assert _post(shared_stack, _batch(*calls, _call(name, "t1", traits=1))) == 200
    letters = [found for found in _letters(shared_stack) if found.id not in before]
    one, _two = (found.id for found in letters if found.letter.reason == "no_identifier")
    mended = tmp_path / "customeros.toml"
    mended.write_text("[workspaces.default.sources.demo]\n")
    after = shared_stack._replace(
        settings=shared_stack.settings.model_copy(update={"config": mended})
    )

    refused = shared_stack.run("dead-letters", "replay", one)
    assert (refused.returncode, refused.stdout.splitlines()[0]) == (
        1,
        f"{one}: refused: no_identifier: no identifier that names somebody",
    )

    for _ in range(2):
        sent = after.run("dead-letters", "replay", one)
        assert (sent.returncode, sent.stdout.splitlines()[0]) == (0, f"{one}: sent again"), sent
    _arrived(shared_stack, name, 1)

    by_reason = after.run("dead-letters", "replay", "--reason", "bad_traits")
    assert by_reason.returncode == 1
    assert "refused: bad_traits: " in by_reason.stdout
    everything = after.run("dead-letters", "replay", "--all")
    assert everything.returncode == 1
    _arrived(shared_stack, name, 2)
    unknown = after.run("dead-letters", "replay", "77-77")
    assert unknown.returncode == 1
    assert "there is no dead letter 77-77" in unknown.stderr


def _produce(
    settings: Settings, topic: str, records: list[tuple[bytes | None, bytes]]
) -> list[tuple[int, int]]:
    """Partition and offset of each."""
    places: list[tuple[int, int]] = []
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    for key, value in records:
        producer.produce(
            settings.kafka.topic_prefix + topic,
            value,
            key,
            partition=0,
            on_delivery=lambda _, sent: places.append((sent.partition() or 0, sent.offset() or 0)),
        )
        producer.flush(10)
    return places
