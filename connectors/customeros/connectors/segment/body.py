"""What is in a request's body: its calls as they came, and what they share."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from customeros.schemas.event import MAX_EVENT_BYTES

_T = TypeVar("_T")

# Of the tracking API, uncompressed; the browser SDK fills batches up to it.
MAX_BODY_BYTES: Final = 500 * 1024
# Of the tracking API; without it a body of `{},` would become 170,000 dead letters.
MAX_BATCH_CALLS: Final = 2_500


class Malformed(Exception):
    """
    The body as a whole cannot be read.

    Args:
        code: `invalid_json`, `too_deep`, `no_batch`, `too_many_calls` or `too_large`.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Batch(NamedTuple):
    """
    Args:
        calls: each call's JSON; bytes of the body but where that had to be mended.
        write_key: where the body names it; beacons have no headers.
        sent_at, context: of the whole batch; JSON values as they came.
    """

    calls: list[bytes]
    write_key: str | None
    sent_at: Any
    context: Any


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[msgspec.Raw] | None = None
    write_key: Any = None
    sent_at: Any = None
    context: Any = None


class _WriteKey(msgspec.Struct, rename="camel"):
    write_key: Any = None


_BATCH: Final = msgspec.json.Decoder(_Batch)
_WRITE_KEY: Final = msgspec.json.Decoder(_WriteKey)

_TOKEN: Final = re.compile(
    rb"""
    \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}   # a pair, which is well
  | (?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2} | \\u0000)
  | \\.
  | (?P<number>(?<=[\[,:\s])-?(?:NaN|Infinity)(?=[\],}\s]))
    """,
    re.VERBOSE | re.DOTALL,
)
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^"]+|"', re.DOTALL)


def read_batch(body: bytes) -> Batch:
    """
    The calls of a batch.

    Raises:
        Malformed: no JSON, nothing like a batch, or too many calls.
    """
    found = _decode(_BATCH, body, "no_batch", "the body must be an object with a list `batch`")
    if found.batch is None:
        raise Malformed("no_batch", "the body has no list `batch`")
    if len(found.batch) > MAX_BATCH_CALLS:
        raise Malformed("too_many_calls", f"a batch has at most {MAX_BATCH_CALLS} calls")
    calls = [bytes(call) for call in found.batch]
    return Batch(calls, _text(found.write_key), found.sent_at, found.context)


def read_call(body: bytes) -> Batch:
    """
    The one call that is the body.

    Raises:
        Malformed: no JSON object.
    """
    mended = body
    try:
        found = _WRITE_KEY.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        mended = mend(body)
        found = _decode(_WRITE_KEY, mended, "invalid_json", "the body must be a JSON object")
    return Batch([mended], _text(found.write_key), None, None)


def mend(text: bytes) -> bytes:
    """
    JSON as some clients write it, made JSON: what no reader accepts becomes null or U+FFFD.

    `NaN` and `Infinity` (Python's encoder) become null; halves of surrogate pairs (JavaScript
    strings cut in the middle of one), NUL and bytes that are not UTF-8 become U+FFFD.
    """
    readable = text.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").encode()
    return b"".join(
        _TOKEN.sub(_in_string if part.startswith(b'"') else _outside, part)
        for part in _STRING.findall(readable)
    )


def has_nul(text: bytes) -> bool:
    """Whether *text* may hold an escaped NUL, which JSON allows and stores do not."""
    return b"\\u0000" in text


def is_too_large(call: bytes) -> bool:
    """Whether one call is longer than the tracking API allows."""
    return len(call) > MAX_EVENT_BYTES


def _in_string(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match["lone"] else match[0]


def _outside(match: re.Match[bytes]) -> bytes:
    return b"null" if match["number"] else match[0]


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes, code: str, detail: str) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(code, detail) from error
    except RecursionError as error:
        raise Malformed("too_deep", "the body is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        mended = mend(body)
        if mended == body:
            raise Malformed("invalid_json", "the body is not valid JSON") from None
        return _decode(decoder, mended, code, detail)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
