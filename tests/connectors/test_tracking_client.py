"""The client that imports use: in batches, until the collector has them, each counted once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from customeros.connectors.outbox import Record
from customeros.connectors.room import Overloaded
from customeros.connectors.tracking import Rejected, TrackingClient
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import LOOPBACK
from support.collecting import WRITE_KEY, RememberingPublisher, a_collector, serving
from support.ports import free_port


class _Failing(RememberingPublisher):
    """Fails first, in the given ways."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self._failures = list(failures)
        self.requests: list[int] = []

    async def publish(self, records: Sequence[Record]) -> None:
        self.requests.append(len(records))
        if self._failures:
            raise self._failures.pop(0)
        await super().publish(records)


def _call(number: int, **more: object) -> dict[str, object]:
    return {"type": "track", "event": "Tested", "userId": "u1", "messageId": f"m{number}", **more}


def _client(port: int, **options: object) -> TrackingClient:
    given = {"sleep": lambda _seconds: None, **options}
    return TrackingClient(f"http://{LOOPBACK}:{port}", WRITE_KEY, **given)  # type: ignore[arg-type]  # options are each test's own


def test_calls_go_in_batches_and_in_order() -> None:
    publisher = _Failing()
    with serving(a_collector(publisher)) as port, _client(port, batch_calls=10) as client:
        for number in range(25):
            client.send(_call(number))
        assert client.acknowledged == 20
        client.flush()
        assert client.acknowledged == 25

    assert publisher.requests == [10, 10, 5]
    assert [event.event_id for event in publisher.events] == [f"m{n}" for n in range(25)]


def test_a_batch_never_exceeds_what_the_collector_takes() -> None:
    publisher = _Failing()
    with serving(a_collector(publisher)) as port, _client(port, batch_calls=2_500) as client:
        client.send_all(_call(n, properties={"a": "x" * 30_000}) for n in range(40))

    assert publisher.requests == [17, 17, 6]
    assert len(publisher.events) == 40


def test_it_tries_again_until_the_collector_has_them() -> None:
    """The broker away, the collector overloaded, a fault of ours: nothing is lost or doubled."""
    publisher = _Failing(Unavailable("kafka"), Overloaded(), ZeroDivisionError())
    waited: list[float] = []
    with (
        serving(a_collector(publisher)) as port,
        _client(port, sleep=waited.append) as client,
    ):
        client.send_all([_call(1)])

    assert publisher.requests == [1, 1, 1, 1]
    assert [event.event_id for event in publisher.events] == ["m1"]
    # as Retry-After says
    assert len(waited) == 3
    assert min(waited) >= 1


def test_a_call_without_an_id_gets_one_before_it_is_first_sent() -> None:
    """Sent again, it is the same event."""
    publisher = _Failing(Unavailable("kafka"))
    with serving(a_collector(publisher)) as port, _client(port) as client:
        client.send({"type": "page", "userId": "u1"})

    (event,) = publisher.events
    assert not event.event_id.endswith("-0")
    assert len(event.event_id) == 36


def test_it_gives_up_when_its_patience_ends() -> None:
    client = _client(free_port(), patience_seconds=0)
    with pytest.raises(Unavailable):
        client.send_all([_call(1)])
    client.close()

    assert client.acknowledged == 0


def test_what_is_refused_for_good_is_an_error_with_the_collectors_code() -> None:
    with serving(a_collector(RememberingPublisher())) as port:
        client = TrackingClient(f"http://{LOOPBACK}:{port}", "wrong")
        with pytest.raises(Rejected) as refused:
            client.send_all([_call(1)])
        client.close()

    assert (refused.value.status, refused.value.code) == (401, "unknown_write_key")


def test_a_failure_inside_the_block_sends_nothing_more() -> None:
    publisher = _Failing()
    with serving(a_collector(publisher)) as port:
        with pytest.raises(TypeError), _client(port) as client:
            client.send_all([_call(1), {"not": object()}])

        assert publisher.requests == []
