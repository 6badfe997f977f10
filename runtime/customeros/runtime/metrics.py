"""Every metric of the platform, with its unit in its name; labels come from closed sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from http.server import ThreadingHTTPServer
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.exposition import MetricsHandler

from customeros.runtime.settings import Metrics
from customeros.runtime.stack.ports import listen

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

RECORDS_READ = Counter(
    "customeros_records_read_total", "records taken from a topic", ["stage", "topic"]
)
RECORDS_SKIPPED = Counter(
    "customeros_records_skipped_total", "delivered again, already folded", ["stage", "topic"]
)
RECORDS_WRITTEN = Counter(
    "customeros_records_written_total", "records in committed transactions", ["stage", "topic"]
)
DUPLICATES = Counter(
    "customeros_duplicate_events_total", "events seen before by (source, id)", ["stage"]
)
EVIDENCE_REFUSED = Counter(
    "customeros_evidence_refused_total", "evidence that joined nobody", ["reason"]
)
DEAD_LETTERS = Counter("customeros_dead_letters_total", "records given up on", ["stage", "reason"])
COMMIT_SECONDS = Histogram(
    "customeros_commit_seconds", "one transaction, begin to commit", ["stage"], buckets=_SECONDS
)
PARTITIONS_OWNED = Gauge("customeros_partitions_owned", "input partitions owned", ["stage"])
RECOVERY_SECONDS = Histogram(
    "customeros_recovery_seconds",
    "fencing and catching up one partition",
    ["stage"],
    buckets=_SECONDS,
)
REQUESTS = Counter(
    "customeros_http_requests_total", "requests answered", ["stage", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "customeros_http_request_seconds", "one request", ["stage", "route"], buckets=_SECONDS
)
EVENTS_ACCEPTED = Counter(
    "customeros_events_accepted_total", "events acknowledged to a client", ["family"]
)
INFLIGHT_BYTES = Gauge("customeros_collector_inflight_bytes", "accepted, not yet acknowledged")
SINK_ROWS = Counter("customeros_sink_rows_total", "rows inserted", ["table"])
SINK_FLUSH_SECONDS = Histogram(
    "customeros_sink_flush_seconds", "one insert", ["table"], buckets=_SECONDS
)
UNAVAILABLE = Counter(
    "customeros_dependency_unavailable_total",
    "a dependency did not answer",
    ["stage", "dependency"],
)
PROGRESS_AGE = Gauge(
    "customeros_progress_age_seconds", "records wait, and nothing is done for so long", ["stage"]
)


@cache
def labelled(metric: Any, *labels: object) -> Any:
    """`metric.labels(*labels)` at a tenth of its price, for what every request does."""
    return metric.labels(*labels)


def serve_metrics(metrics: Metrics, *, trouble: Callable[[], str]) -> None:
    """
    Serve `/metrics`, `/healthz` and `/readyz` from threads of this process, if a port is set.

    Args:
        trouble: why this process is not at work, in words, for `/readyz`; empty: it is.

    Raises:
        Misconfigured: the port cannot be used.
    """
    if metrics.port:
        answers = type("Answers", (_Answers,), {"trouble": staticmethod(trouble)})
        place = metrics.host, metrics.port
        server = ThreadingHTTPServer(place, answers, bind_and_activate=False)
        server.socket.close()
        server.socket = listen(*place, "CUSTOMEROS_METRICS__PORT")
        server.server_activate()
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        structlog.get_logger().info("metrics_served", port=metrics.port)


class _Answers(MetricsHandler):
    trouble: Callable[[], str]

    def handle(self) -> None:
        # Whoever asked need not wait for the answer.
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        match self.path:
            case "/healthz":
                self._answer(200, {"status": "alive"})
            case "/readyz":
                reason = self.trouble()
                found = {"ready": not reason} | ({"reason": reason} if reason else {})
                self._answer(503 if reason else 200, found)
            case _:
                super().do_GET()

    def _answer(self, status: int, found: Mapping[str, object]) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
