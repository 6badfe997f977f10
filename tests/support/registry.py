"""A small schema registry in memory that holds to the documented REST form, modes included."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

READWRITE, IMPORT = "READWRITE", "IMPORT"


class FakeRegistry:
    """
    What a Confluent-compatible registry keeps.

    As there: an id may only be given in mode IMPORT, a subject that has versions enters that mode
    only by force, an id stands for one schema everywhere, and without id one is handed out.
    """

    def __init__(self) -> None:
        self.subjects: dict[str, dict[int, tuple[int, str]]] = {}
        self.modes: dict[str, str] = {}
        self.compatibility: dict[str, str] = {}
        self.writes = 0
        self.honours_import = True

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        match method, [unquote(part) for part in path.strip("/").split("/")]:
            case "GET", ["subjects", subject, "versions", version]:
                return self._version(subject, int(version))
            case "POST", ["subjects", subject, "versions"]:
                self.writes += 1
                return self._register(subject, body)
            case "PUT", ["mode", subject]:
                self.writes += 1
                taken = self.subjects.get(subject) and self.modes.get(subject) != body["mode"]
                if body["mode"] == IMPORT and taken and query.get("force") != ["true"]:
                    return _error(422, 42205, "Cannot import since found existing subjects")
                self.modes[subject] = body["mode"]
                return 200, body
            case "PUT", ["config", subject]:
                self.writes += 1
                self.compatibility[subject] = body["compatibility"]
                return 200, body
            case _:
                return _error(404, 404, "HTTP 404 Not Found")

    def _version(self, subject: str, version: int) -> tuple[int, Any]:
        if subject not in self.subjects:
            return _error(404, 40401, "Subject not found.")
        if version not in self.subjects[subject]:
            return _error(404, 40402, "Version not found.")
        number, schema = self.subjects[subject][version]
        return 200, {"subject": subject, "version": version, "id": number, "schema": schema}

    def _register(self, subject: str, body: Any) -> tuple[int, Any]:
        known = {number: text for v in self.subjects.values() for number, text in v.values()}
        if "id" in body and self.modes.get(subject) != IMPORT:
            return _error(422, 42205, f"Subject {subject} is not in import mode")
        number = body.get("id") if self.honours_import else None
        number = number or max(known, default=0) + 1
        if known.get(number, body["schema"]) != body["schema"]:
            return _error(422, 42207, f"Overwrite new schema with id {number} is not permitted.")
        versions = self.subjects.setdefault(subject, {})
        versions[body.get("version", len(versions) + 1)] = number, body["schema"]
        return 200, {"id": number}


@contextmanager
def served(registry: FakeRegistry) -> Iterator[str]:
    """The registry on a port of its own: its URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, found = registry.answer(self.command, parts.path, parse_qs(parts.query), body)
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that the base class calls

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _error(status: int, code: int, message: str) -> tuple[int, Any]:
    return status, {"error_code": code, "message": message}
