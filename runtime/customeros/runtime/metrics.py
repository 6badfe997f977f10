"""Every metric of the platform, with its unit in its name; labels come from closed sets."""

from __future__ import annotations

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from customeros.runtime.settings import Metrics

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


def serve_metrics(metrics: Metrics) -> None:
    """Serve `/metrics` from a thread of this process, if a port is set."""
    if metrics.port:
        start_http_server(metrics.port, addr=metrics.host)
        structlog.get_logger().info("metrics_served", port=metrics.port)
