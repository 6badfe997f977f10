"""`python -m benchmarks.engine.kafka_streams`: resolve the jars anew and print the lock file."""

from __future__ import annotations

from benchmarks.engine.kafka_streams import resolve_lock

print(resolve_lock(), end="")
