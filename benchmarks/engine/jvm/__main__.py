"""`python -m benchmarks.engine.jvm flink|kafka_streams`: resolve the jars, print the lock file."""

from __future__ import annotations

import sys

from benchmarks.engine.jvm import resolve_lock

print(resolve_lock(sys.argv[1]), end="")
