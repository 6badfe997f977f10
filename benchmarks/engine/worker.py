"""What is a rival's process told, and how does it say how far it is? Standard library alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple


class Told(NamedTuple):
    """
    What one run of the job is.

    Args:
        name: of its group, its store and its changelog.
        folder: for its local state.
        port: where it says how far it is.
    """

    bootstrap: str
    source: str
    output: str
    name: str
    partitions: int
    folder: Path
    port: int
    commit_seconds: float


def environment_of(told: Told) -> dict[str, str]:
    """The variables that `told` and the Java worker read."""
    return {f"ENGINE_{name.upper()}": str(value) for name, value in told._asdict().items()}


def told() -> Told:
    """Read the environment."""
    given = {name: os.environ[f"ENGINE_{name.upper()}"] for name in Told._fields}
    return Told(
        bootstrap=given["bootstrap"],
        source=given["source"],
        output=given["output"],
        name=given["name"],
        partitions=int(given["partitions"]),
        folder=Path(given["folder"]),
        port=int(given["port"]),
        commit_seconds=float(given["commit_seconds"]),
    )


def say_progress(port: int, records: Callable[[], int]) -> None:
    """Answer with *records* when asked: a metric counted up at each event would be a cost."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"customeros_records_read_total {records()}\n".encode())

        def log_message(self, format: str, *args: object) -> None:
            """A look is no news."""

    Thread(
        target=ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever, daemon=True
    ).start()
