"""Real Kafka and ClickHouse's engine as children of the test run; they die when it does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from customeros.runtime.settings import LOOPBACK
from customeros.runtime.stack.kafka import kafka_answers
from customeros.runtime.stack.processes import answers, tethered
from support.ports import free_port
from support.waiting import until

__all__ = ["answers", "embedded_clickhouse", "embedded_kafka", "process"]

# A cold cache fetches 57 MB first.
_START_SECONDS = 300


@contextmanager
def process(
    argv: Sequence[str], *, env: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as a tethered child, its output in `log`; at the end it is terminated."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            tethered(argv),
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def embedded_kafka(home: Path, *, port: int | None = None) -> Iterator[tuple[str, int]]:
    """One broker that keeps its data in `home`: where it listens, and its pid."""
    port = port or free_port()
    env = {"CUSTOMEROS_HOME": str(home), "CUSTOMEROS_KAFKA__PORT": str(port)}
    with _server("kafka", home, env, lambda: kafka_answers(LOOPBACK, port)) as pid:
        yield f"{LOOPBACK}:{port}", pid


@contextmanager
def embedded_clickhouse(
    home: Path, *, port: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """One engine that keeps its data in `home`: its URL, and its pid."""
    port = port or free_port()
    env = {"CUSTOMEROS_HOME": str(home), "CUSTOMEROS_CLICKHOUSE__PORT": str(port), **(env or {})}
    url = f"http://{LOOPBACK}:{port}"
    with _server("clickhouse", home, env, lambda: answers(f"{url}/ping")) as pid:
        yield url, pid


@contextmanager
def _server(
    name: str, home: Path, env: Mapping[str, str], ready: Callable[[], bool]
) -> Iterator[int]:
    log = home / "logs" / f"{name}.log"
    argv = [sys.executable, "-m", "customeros.runtime.stack", name]
    with process(argv, env=env, log=log) as child:

        def up() -> bool:
            assert child.poll() is None, f"{name} ended ({child.returncode}): {log.read_text()}"
            return ready()

        until(up, seconds=_START_SECONDS, what=f"{name} answers; its log is {log}", every=0.05)
        yield child.pid
