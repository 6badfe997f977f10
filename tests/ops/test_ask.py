"""`customeros customer show`: each answer of the API becomes a view or one sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from support.commands import Command

_TOKEN = "tok_of_this_home"  # noqa: S105 - a test's


@contextmanager
def _api(status: int, answer: Any) -> Iterator[tuple[dict[str, str], list[tuple[str, str]]]]:
    """An API with one answer: the variables that name it, and the paths and tokens it was asked."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield (
            {
                "CUSTOMEROS_API__PORT": str(server.server_address[1]),
                "CUSTOMEROS_SECRETS__API_TOKEN": _TOKEN,
            },
            asked,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_identifier_is_asked_for_as_written_with_the_token_of_this_home(
    customeros: Command,
) -> None:
    with _api(200, {"customer_id": "c1"}) as (env, asked):
        done = customeros("customer", "show", "email:ada+shop/2@example.com", "--json", env=env)

    assert (done.code, json.loads(done.out)) == (0, {"customer_id": "c1"})
    assert asked == [
        ("/v1/customers/email:ada%2Bshop%2F2@example.com", f"Bearer {_TOKEN}"),
    ]


@pytest.mark.parametrize(
    ("status", "answer", "code", "told"),
    [
        (400, {"error": {"message": "write it type:value"}}, 1, "write it type:value"),
        (404, {"error": {"message": "nobody is known by this"}}, 1, "nobody is known by this"),
        (410, {"error": {"message": "erased"}}, 1, "erased"),
        (404, b"<html>", 1, "the API answered 404"),
        (401, {}, 78, "runs with another home: set CUSTOMEROS_HOME"),
        (503, {}, 75, "the API does not answer"),
        (500, b"", 75, "the API does not answer"),
    ],
)
def test_every_refusal_is_one_sentence_with_its_exit_code(
    customeros: Command, status: int, answer: Any, code: int, told: str
) -> None:
    with _api(status, answer) as (env, _):
        done = customeros("customer", "show", "email:ada@example.com", env=env)

    assert done.code == code
    assert told in done.err
    assert (done.out, len(done.err.splitlines())) == ("", 1)
    assert _TOKEN not in done.err
    assert "ada" not in done.err
