"""Send tracking calls to a collector, in batches, until it has them."""

from __future__ import annotations

import base64
import http.client
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from customeros.connectors.segment.body import MAX_BATCH_CALLS, MAX_BODY_BYTES
from customeros.runtime.errors import CustomerOSError, Unavailable

# Of the body that is not calls: sentAt and brackets.
_FRAME_BYTES: Final = 256
_FIRST_WAIT_SECONDS: Final = 0.1
_LONGEST_WAIT_SECONDS: Final = 5.0
_RETRYABLE: Final = frozenset({408, 410, 429, 460, 500, 502, 503, 504})


class Rejected(CustomerOSError):
    """The collector refuses the request for good; `code` says why."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"the collector answered {status}: {code}")
        self.status = status
        self.code = code


class TrackingClient:
    """
    One connection to one collector; not for several threads.

    A call gets its `messageId` when it is handed over, so that sending it again counts it once.
    Use as a context manager, or call `flush` at the end: calls wait for their batch.

    Args:
        url: `http://127.0.0.1:8700` or `https://…`.
        batch_calls: calls per request, at most what the tracking API allows.
        patience_seconds: how long one batch is tried before `Unavailable`.
        sleep: how to wait between tries.
    """

    def __init__(
        self,
        url: str,
        write_key: str,
        *,
        batch_calls: int = 500,
        patience_seconds: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = urlsplit(url)
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(f"{write_key}:".encode()).decode(),
            "Content-Type": "application/json",
        }
        self._batch_calls = min(batch_calls, MAX_BATCH_CALLS)
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._connection: http.client.HTTPConnection | None = None
        self.acknowledged = 0

    def __enter__(self) -> TrackingClient:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:
            self.flush()
        self.close()

    def send(self, call: Mapping[str, Any]) -> None:
        """
        Hand over one call of the tracking API (`type`, `userId`, …); it is sent with its batch.

        Raises:
            Unavailable: the collector could not be reached for `patience_seconds`.
            Rejected: it refuses the batch for good, such as for the write key.
        """
        if call.get("messageId") is None:
            call = {**call, "messageId": str(uuid.uuid4())}
        encoded = msgspec.json.encode(call)
        if self._waiting_bytes + len(encoded) + 1 > MAX_BODY_BYTES - _FRAME_BYTES:
            self.flush()
        self._waiting.append(encoded)
        self._waiting_bytes += len(encoded) + 1
        if len(self._waiting) >= self._batch_calls:
            self.flush()

    def send_all(self, calls: Iterable[Mapping[str, Any]]) -> None:
        """`send` each and `flush`; raises what they raise."""
        for call in calls:
            self.send(call)
        self.flush()

    def flush(self) -> None:
        """Return when the collector has everything; raises like `send`."""
        if self._waiting:
            self._deliver(b",".join(self._waiting))
            self.acknowledged += len(self._waiting)
            self._waiting, self._waiting_bytes = [], 0

    def close(self) -> None:
        """End the connection; what waits for its batch is dropped."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _deliver(self, calls: bytes) -> None:
        give_up_at = time.monotonic() + self._patience_seconds
        wait = _FIRST_WAIT_SECONDS
        while True:
            sent_at = datetime.now(UTC).isoformat()
            asked_to_wait = self._post(b'{"batch":[%b],"sentAt":"%b"}' % (calls, sent_at.encode()))
            if asked_to_wait is None:
                return
            if time.monotonic() > give_up_at:
                raise Unavailable("collector", retry_after=asked_to_wait)
            # Nobody comes back in step with the others.
            self._sleep(max(asked_to_wait, wait * random.uniform(0.5, 1)))  # noqa: S311
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _post(self, body: bytes) -> float | None:
        """None: it has them; otherwise in how many seconds to try again."""
        try:
            self._connection = self._connection or self._connect()
            self._connection.request("POST", "/v1/batch", body, self._headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0.0
        if response.status == 200:
            return None
        if response.status not in _RETRYABLE:
            raise Rejected(response.status, _code(answer))
        said = response.headers.get("Retry-After", "")
        return float(said) if said.isdigit() else 0.0

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._url.hostname or "", self._url.port, timeout=30)


def _code(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer)["error"]["code"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "unknown"
