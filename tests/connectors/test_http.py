"""How the collector answers: who may read it, when to come back, and for how long it listens."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from customeros.connectors import requests, server
from customeros.connectors.collector import browser_settings
from customeros.connectors.room import Allowance, Overloaded
from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import LOOPBACK
from support.collecting import RememberingPublisher, Reply, a_collector, ask, serving

_CALL = b'{"userId":"u1","event":"Tested"}'
_AUTH = {"Authorization": "Basic V1JJVEVLRVk6"}


@pytest.fixture
def publisher() -> RememberingPublisher:
    return RememberingPublisher()


@pytest.fixture
def port(publisher: RememberingPublisher) -> Iterator[int]:
    with serving(a_collector(publisher)) as port:
        yield port


def _track(port: int, **headers: str) -> Reply:
    return ask(port, "POST", "/v1/track", _CALL, {**_AUTH, **headers})


def test_a_broker_that_is_away_is_answered_503_with_a_time_to_come_back(
    port: int, publisher: RememberingPublisher
) -> None:
    publisher.failure = Unavailable("kafka")

    reply = _track(port, Origin="https://shop.example")

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert json.loads(reply.body)["error"]["code"] == "unavailable"
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert publisher.records == []


def test_overload_is_answered_429_with_a_time_to_come_back(
    port: int, publisher: RememberingPublisher
) -> None:
    publisher.failure = Overloaded()

    reply = _track(port)

    assert (reply.status, reply.headers["retry-after"]) == (429, "1")


def test_a_fault_of_ours_is_answered_500_and_its_log_names_nobody(
    port: int, publisher: RememberingPublisher, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client keeps its data and tries again."""
    publisher.failure = ZeroDivisionError("ada@example.com")

    reply = _track(port)
    logged = "".join(capsys.readouterr())

    assert reply.status == 500
    assert "ZeroDivisionError" in logged
    assert "publish" in logged
    assert "ada@example.com" not in logged


def test_bodies_under_way_count_and_are_given_back(publisher: RememberingPublisher) -> None:
    """More than is allowed is answered 429; afterwards there is room again."""
    allowance = Allowance(len(_CALL) + 10)
    with serving(a_collector(publisher, allowance=allowance)) as port:
        assert _track(port).status == 200
        allowance.take(11)
        assert _track(port).status == 429
        allowance.give_back(11)
        assert _track(port).status == 200

    assert allowance.taken == 0


def test_a_preflight_reflects_the_headers_that_are_asked_for(port: int) -> None:
    reply = ask(
        port,
        "OPTIONS",
        "/v1/batch",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,anonymousid,sentat",
        },
    )

    assert reply.status == 200
    assert reply.headers["access-control-allow-headers"] == "authorization,anonymousid,sentat"
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["vary"] == "origin"


def test_who_is_no_browser_gets_no_cors_headers(port: int) -> None:
    assert not [name for name in _track(port).headers if name.startswith("access-control")]


def test_other_methods_and_paths_are_refused_in_json(port: int) -> None:
    for method, path, status in (
        ("GET", "/v1/batch", 405),
        ("PUT", "/v1/t", 405),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("GET", "/v1/projects/settings", 404),
        ("GET", "/v1/projects/wrong/settings", 401),
    ):
        reply = ask(port, method, path)
        assert reply.status == status
        assert json.loads(reply.body)["success"] is False


def test_the_browser_sdk_is_sent_here_and_nowhere_else(port: int) -> None:
    """The host as the browser named it, so that it works behind any name and proxy."""
    direct = ask(port, "GET", "/v1/projects/WRITEKEY/settings", headers={"Host": "shop.example"})
    proxied = ask(
        port,
        "GET",
        "/v1/projects/WRITEKEY/settings",
        headers={
            "Host": "internal",
            "X-Forwarded-Host": "data.example",
            "X-Forwarded-Proto": "https",
        },
    )

    assert json.loads(direct.body) == browser_settings("WRITEKEY", "http", "shop.example")
    assert json.loads(proxied.body) == browser_settings("WRITEKEY", "https", "data.example")
    assert list(json.loads(direct.body)["integrations"]) == ["Segment.io"]


def test_it_is_alive_without_the_broker_but_not_ready(
    port: int, publisher: RememberingPublisher
) -> None:
    assert ask(port, "GET", "/readyz").status == 200
    publisher.ready = False

    assert ask(port, "GET", "/healthz").status == 200
    assert ask(port, "GET", "/readyz").status == 503
    assert _track(port).status == 503


def test_metrics_count_requests_by_route_and_never_by_what_a_client_makes_up(port: int) -> None:
    _track(port)
    ask(port, "GET", "/v1/projects/somebody@example.com/settings")

    text = ask(port, "GET", "/metrics").body.decode()

    assert 'route="/v1/track",stage="collector",status="200"' in text
    assert 'customeros_events_accepted_total{family="behavioral"}' in text
    assert "somebody" not in text


def _send_slowly(port: int, start: bytes) -> bytes:
    """What comes back for a request that never ends."""
    with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
        connection.sendall(start)
        answer = b""
        try:
            while chunk := connection.recv(65_536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


_HEAD = b"POST /v1/t HTTP/1.1\r\nHost: x\r\nAuthorization: Basic V1JJVEVLRVk6\r\n"


def test_a_body_that_does_not_end_is_answered_408(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the SDKs take as a reason to try again."""
    monkeypatch.setattr(requests, "_BODY_SECONDS", 0.2)
    monkeypatch.setattr(server, "_REQUEST_SECONDS", 1.0)

    answer = _send_slowly(port, _HEAD + b"Content-Length: 1000\r\n\r\n{")

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("start", [b"", b"POST /v1/t HTTP/1.1\r\nHost: x\r\nX-A"])
def test_a_request_that_does_not_even_begin_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(server, "_REQUEST_SECONDS", 0.2)

    assert _send_slowly(port, start) == b""


def test_endless_headers_are_cut_off(port: int) -> None:
    head = b"POST /v1/t HTTP/1.1\r\n" + b"X-Header: value\r\n" * 100_000

    assert _send_slowly(port, head) == b""


def test_an_endless_chunked_body_is_cut_off_at_the_limit(
    port: int, publisher: RememberingPublisher
) -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    answer = _send_slowly(
        port, _HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 9
    )

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert publisher.records == []


def test_requests_in_one_go_are_each_answered(port: int, publisher: RememberingPublisher) -> None:
    """Pipelined, which proxies do."""
    one = _HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(_CALL), _CALL)
    last = one.replace(b"Host: x", b"Host: x\r\nConnection: close")

    answer = _send_slowly(port, one + one + last)

    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert len(publisher.events) == 3
