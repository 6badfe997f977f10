"""Input of every bad kind gets the documented answer, or is a dead letter that says why."""

from __future__ import annotations

import contextlib
import gzip
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customeros.connectors.segment.body import Malformed, mend
from customeros.connectors.segment.calls import CALL_TYPES
from customeros.schemas.codec import DEAD_LETTER, EVENT
from customeros.schemas.dead_letter import DeadLetter
from customeros.schemas.event import Event
from support.collecting import (
    NOW,
    WRITE_KEY,
    RememberingPublisher,
    Reply,
    a_collector,
    ask,
    outcomes_of,
    serving,
)

_GOOD = {"type": "track", "event": "Tested", "userId": "u1", "messageId": "good"}


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def _batch(*calls: str) -> bytes:
    """A batch of calls, each given as text so that it may be what no encoder writes."""
    return ('{"batch":[' + ",".join([*calls, json.dumps(_GOOD)]) + "]}").encode()


def _with(field: str, text: str) -> str:
    return json.dumps(_GOOD)[:-1] + f', "{field}": {text}}}'


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("1", "not_an_object"),
        ("null", "not_an_object"),
        ("[]", "not_an_object"),
        ('"text"', "not_an_object"),
        ("{}", "unknown_type"),
        (_with("type", '"sell"'), "unknown_type"),
        (_with("type", '["track"]'), "unknown_type"),
        (_with("event", "null"), "bad_event_name"),
        (_with("event", '" "'), "bad_event_name"),
        (_with("event", "7"), "bad_event_name"),
        (_with("event", f'"{"x" * 257}"'), "bad_event_name"),
        (_with("messageId", f'"{"x" * 257}"'), "bad_message_id"),
        (_with("messageId", "{}"), "bad_message_id"),
        (_with("properties", "[1]"), "bad_properties"),
        (_with("properties", '"text"'), "bad_properties"),
        (_with("traits", "7"), "bad_traits"),
        (_with("context", "true"), "bad_context"),
        (_with("userId", "null"), "no_identifier"),
        (_with("userId", '""'), "no_identifier"),
        (_with("userId", f'"{"x" * 257}"'), "no_identifier"),
        (_with("userId", '"a\\u0001b"'), "no_identifier"),
        (_with("properties", f'{{"a": "{"x" * 32_768}"}}'), "too_large"),
        (_with("properties", json.dumps({f"k{n}": n for n in range(10_000)})), "too_large"),
        (_with("properties", f'{{"a": {_nested(100)}}}'), "too_deep"),
        (_with("properties", '{"a": 1e999}'), "number_too_large"),
        (_with("properties", '{"a": 1e9999999999999999999999}'), "number_too_large"),
        (_with("properties", '{"a": 1e-9999999999999999999999}'), "number_too_large"),
        (_with("userId", "9" * 4_300), "no_identifier"),
        (_with("messageId", "9" * 4_300), "bad_message_id"),
        (_with("userId", "1e300"), "no_identifier"),
        (_with("properties", '{"a": ' + "9" * 5_000 + "}"), "number_too_large"),
        (
            _with(
                "context",
                json.dumps({"externalIds": [{"type": "crm", "id": f"x{n}"} for n in range(51)]}),
            ),
            "too_many_identifiers",
        ),
    ],
)
def test_a_bad_call_is_a_dead_letter_and_its_neighbours_are_events(call: str, reason: str) -> None:
    """The dead letter holds the one call as it came, says why, and names nobody in its text."""
    bad, good = outcomes_of(_batch(call))

    assert isinstance(bad, DeadLetter)
    assert (bad.reason, bad.stage, bad.source) == (reason, "collector", "demo")
    assert bad.value.decode() == call
    assert bad.failed_at == NOW
    assert "u1" not in bad.detail
    assert DEAD_LETTER.decode(DEAD_LETTER.encode(bad)) == bad
    assert isinstance(good, Event)
    assert good.event_id == "good"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("NaN", None),
        ("-Infinity", None),
        ('"cut \\ud83d"', "cut \ufffd"),
        ('"\\ude00\\ud83d"', "\ufffd\ufffd"),
        ('"NUL \\u0000"', "NUL \ufffd"),
        # what only looks alike stays as it is
        ('"NaN, \\\\ud83d, \\\\u0000"', "NaN, \\ud83d, \\u0000"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("18446744073709551616", 2**64),
        (_nested(30), json.loads(_nested(30))),
    ],
)
def test_what_clients_really_write_is_mended_not_refused(text: str, becomes: Any) -> None:
    """Python's encoder writes NaN; JavaScript cuts strings between surrogates."""
    call = _with("properties", f'{{"a": {text}}}')

    event, good = outcomes_of(_batch(call))

    assert isinstance(event, Event)
    assert event.personal is not None
    assert json.loads(event.personal.properties) == {"a": becomes}
    assert isinstance(good, Event)


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    body = _batch(_with("properties", '{"a": "b"}')).replace(b'"b"', b'"\xff"')

    event, _good = outcomes_of(body)

    assert isinstance(event, Event)
    assert event.personal is not None
    assert json.loads(event.personal.properties) == {"a": "\ufffd"}


def test_the_same_id_twice_makes_the_same_event_twice_with_one_key() -> None:
    """They go to one partition, where resolve drops the second."""
    first, second = outcomes_of(_batch(json.dumps(_GOOD)))

    assert first == second


def test_times_far_off_are_clamped() -> None:
    far, _ = outcomes_of(_batch(_with("timestamp", '"9999-12-31T23:59:59Z"')))
    old, _ = outcomes_of(_batch(_with("timestamp", '"0001-01-01T00:00:00Z"')))

    assert isinstance(far, Event)
    assert isinstance(old, Event)
    assert (far.occurred_at, old.occurred_at) == (NOW + 300_000, 0)


# As JSON may have them, and no encoder writes them.
_NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,25})?", fullmatch=True
)

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([*CALL_TYPES, "u1", "ada@example.com", "Order Completed", "EUR", "2024"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_FIELDS = [
    *("type", "event", "userId", "anonymousId", "previousId", "groupId", "messageId", "name"),
    *("traits", "properties", "context", "timestamp", "originalTimestamp", "sentAt", "category"),
]
_PARTS = [
    *("email", "phone", "total", "currency", "products", "order_id", "text", "channel", "price"),
    *("device", "externalIds", "id", "type", "consent", "categoryPreferences", "traits", "family"),
]
_OBJECTS = st.dictionaries(
    st.sampled_from(_PARTS),
    _JSON | st.dictionaries(st.sampled_from(_PARTS), _JSON) | st.lists(_JSON, max_size=3),
)
_CALLS = st.dictionaries(st.sampled_from(_FIELDS), _JSON | _OBJECTS) | _JSON


@given(_NUMBERS, st.sampled_from([*_FIELDS, *_PARTS]))
def test_any_number_anywhere_becomes_an_event_or_a_dead_letter(number: str, name: str) -> None:
    """And where it is an event, every reader of JSON takes it."""
    call = f'{{"type":"track","event":"Order Completed","userId":"u","{name}":{number},'
    parts = f'"properties":{{"currency":"EUR","{name}":{number}}},"traits":{{"{name}":{number}}}}}'

    (found,) = outcomes_of(f'{{"batch":[{call}{parts}]}}'.encode())

    if isinstance(found, Event):
        assert EVENT.decode(EVENT.encode(found)) == found
        assert found.personal is not None
        for text in (found.personal.properties, *found.personal.traits.values()):
            json.loads(text)
            msgspec.json.decode(text)


@given(_CALLS, st.sampled_from([None, *CALL_TYPES]))
@example({"groupId": 0}, "group")
def test_any_json_value_becomes_exactly_one_event_or_dead_letter(
    call: Any, kind: str | None
) -> None:
    """Which Avro takes, and whose JSON parts every reader takes."""
    text = json.dumps(call).encode()
    if kind is not None and not isinstance(call, dict):
        with pytest.raises(Malformed):
            outcomes_of(text, kind)
        return

    (found,) = outcomes_of(text if kind else b'{"batch":[' + text + b"]}", kind)

    if isinstance(found, DeadLetter):
        assert DEAD_LETTER.decode(DEAD_LETTER.encode(found)) == found
    else:
        assert EVENT.decode(EVENT.encode(found)) == found
        # What tells of an organisation alone names nobody.
        assert found.identifier_keys or (found.account_id and found.kind in ("group", "track"))
        assert found.personal is not None
        for part in (found.personal.properties, found.personal.context):
            assert isinstance(json.loads(part), dict)
        for value in found.personal.traits.values():
            json.loads(value)


@given(st.binary(max_size=60) | st.text('{}[]":,\\ud83NaInfity0 ', max_size=40).map(str.encode))
def test_any_bytes_are_a_batch_or_are_refused(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        outcomes_of(body)


@given(_JSON)
def test_mending_leaves_what_is_well_as_it_means(value: Any) -> None:
    """But for what it replaces, which this leaves out."""
    text = json.dumps(value)
    if not any(sign in text for sign in ("\\u0000", "\\ud", "NaN", "Infinity")):
        assert json.loads(mend(text.encode())) == value


def _post(port: int, body: bytes, path: str = "/v1/batch", **headers: str) -> Reply:
    said = {"Authorization": "Basic V1JJVEVLRVk6", **headers}
    return ask(port, "POST", path, body, said)


def _code(reply: Reply) -> str:
    answer = json.loads(reply.body)
    assert answer["success"] is False
    assert answer["error"]["message"]
    return str(answer["error"]["code"])


@pytest.fixture(scope="module")
def publisher() -> RememberingPublisher:
    return RememberingPublisher()


@pytest.fixture(scope="module")
def port(publisher: RememberingPublisher) -> Any:
    with serving(a_collector(publisher)) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v1/batch", b"", (400, "invalid_json")),
        ("/v1/batch", b"{", (400, "invalid_json")),
        ("/v1/batch", b'{"batch":[]} trailing', (400, "invalid_json")),
        ("/v1/batch", b'{"batch":[{"a":"\x01"}]}', (400, "invalid_json")),
        ("/v1/batch", b"[]", (400, "no_batch")),
        ("/v1/batch", b"{}", (400, "no_batch")),
        ("/v1/batch", b'{"batch":{}}', (400, "no_batch")),
        ("/v1/batch", b'{"batch":[' + _nested(5_000).encode() + b"]}", (400, "too_deep")),
        ("/v1/batch", b'{"batch":[' + b"{}," * 2_500 + b"{}]}", (413, "too_many_calls")),
        ("/v1/batch", b" " * 512_001, (413, "too_large")),
        ("/v1/track", b"[]", (400, "invalid_json")),
        ("/v1/track", b"null", (400, "invalid_json")),
        ("/v1/t", b"\x1f\x8b garbage", (400, "invalid_gzip")),
        ("/v1/b", gzip.compress(b'{"batch":[]}', mtime=0)[:-9], (400, "invalid_gzip")),
        ("/v1/b", gzip.compress(b'{"batch":[]}', mtime=0) + b"more", (400, "invalid_gzip")),
        ("/v1/b", gzip.compress(b"[" * 20_000_000, mtime=0), (413, "too_large")),
        ("/v1/sell", b"{}", (404, "not_found")),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_request_that_is_bad_as_a_whole_is_refused(
    port: int, publisher: RememberingPublisher, path: str, body: bytes, answer: tuple[int, str]
) -> None:
    publisher.records.clear()

    reply = _post(port, body, path)

    assert (reply.status, _code(reply)) == answer
    assert publisher.records == []


@pytest.mark.parametrize("packed", [False, True])
def test_a_full_batch_of_500_kb_is_taken(
    port: int, publisher: RememberingPublisher, packed: bool
) -> None:
    publisher.records.clear()
    filler = "x" * 30_000
    calls = [{**_GOOD, "messageId": str(n), "properties": {"a": filler}} for n in range(16)]
    body = json.dumps({"batch": calls}).encode().ljust(512_000)

    reply = _post(port, gzip.compress(body) if packed else body)

    assert reply.status == 200
    assert [event.event_id for event in publisher.events] == [str(n) for n in range(16)]


def test_a_good_batch_with_a_bad_call_is_accepted(
    port: int, publisher: RememberingPublisher
) -> None:
    """The client could do nothing about it; the operator finds it among the dead letters."""
    publisher.records.clear()

    reply = _post(port, _batch("{}"))

    assert reply.status == 200
    assert [letter.reason for letter in publisher.dead_letters] == ["unknown_type"]
    assert [event.event_id for event in publisher.events] == ["good"]
    assert {record.key.decode().split("/")[0] for record in publisher.records} == {"default"}


@pytest.mark.parametrize(
    "authorization",
    ["Basic d3Jvbmc6", "Basic !!!", "Basic", "Bearer V1JJVEVLRVk=", "Basic /////w==", None],
)
def test_an_unknown_write_key_is_refused(
    port: int, publisher: RememberingPublisher, authorization: str | None
) -> None:
    """401: the SDKs drop the batch and tell their caller, who has to correct the key."""
    publisher.records.clear()
    headers = {"Authorization": authorization} if authorization else {}

    reply = ask(port, "POST", "/v1/batch", _batch(), headers)

    assert (reply.status, _code(reply)) == (401, "unknown_write_key")
    assert publisher.records == []


def test_the_write_key_may_be_in_the_body(port: int) -> None:
    """Beacons have no headers."""
    for said, status in ((WRITE_KEY, 200), ("wrong", 401), (7, 401)):
        batch = json.dumps({"batch": [_GOOD], "writeKey": said}).encode()
        single = json.dumps({**_GOOD, "writeKey": said}).encode()
        assert ask(port, "POST", "/v1/b", batch).status == status
        assert ask(port, "POST", "/v1/t", single).status == status
