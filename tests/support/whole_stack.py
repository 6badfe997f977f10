"""The whole stack of `customeros up` as a child of the test run, and what can be done to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import clickhouse_connect

from customeros.ops.lag import stage_lags
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Api, ClickHouse, Collector, Kafka, Settings
from customeros.runtime.stack.processes import environment
from customeros.runtime.stack.runfile import read_run
from support.ports import free_port
from support.servers import process
from support.waiting import until

COMMAND = (sys.executable, "-m", "customeros.ops")
_READY_SECONDS = 240


class WholeStack(NamedTuple):
    """A running stack; its processes are found by name, as they are restarted."""

    settings: Settings
    supervisor_pid: int

    @property
    def collector_url(self) -> str:
        return f"http://{self.settings.collector.host}:{self.settings.collector.port}"

    @property
    def write_key(self) -> str:
        return read_secrets(self.settings).write_key

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The `customeros` command with this stack's settings."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env={**os.environ, **environment(self.settings), "COLUMNS": "160"},
            capture_output=True,
            text=True,
            check=False,
        )

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows, asked of the embedded engine as an analyst would."""
        with clickhouse_connect.get_client(
            dsn=self.settings.clickhouse_url, database=self.settings.clickhouse.database
        ) as client:
            return [tuple(row) for row in client.query(sql).result_rows]

    def pid(self, name: str) -> int | None:
        """Of a process that is ready now."""
        run = read_run(self.settings.home)
        found = [p for p in run.processes if p.name == name] if run else []
        return found[0].pid if found and found[0].state == "ready" else None

    def restarts(self) -> dict[str, int]:
        run = read_run(self.settings.home)
        assert run is not None
        return {p.name: p.restarts for p in run.processes}

    def rest(self) -> None:
        """Wait until nothing is under way: what an event says of others comes after itself."""

        def rests() -> bool:
            return not any(stage_lags(self.settings, ("resolve", "graph", "state")).values())

        until(rests, seconds=60, every=0.2, what="the stages have read all")
        until(rests, seconds=60, every=0.2, what="and what they made of it")

    def kill(self, name: str) -> bool:
        """`kill -9` the process if it is ready; whether it was."""
        pid = self.pid(name)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True


def fresh_settings(home: Path) -> Settings:
    """A home and ports of its own."""
    return Settings(
        home=home,
        kafka=Kafka(port=free_port()),
        clickhouse=ClickHouse(port=free_port()),
        collector=Collector(port=free_port()),
        api=Api(port=free_port()),
    )


@contextmanager
def whole_stack(settings: Settings) -> Iterator[WholeStack]:
    """`customeros up` in the foreground until everything is ready; stopped at the end."""
    log = settings.home / "logs" / "up.log"
    with process([*COMMAND, "up"], env=environment(settings), log=log) as child:
        stack = WholeStack(settings, child.pid)

        def ready() -> bool:
            assert child.poll() is None, f"up ended ({child.returncode}): {log.read_text()}"
            return stack.run("status").returncode == 0

        until(ready, seconds=_READY_SECONDS, every=0.5, what=f"all is ready; see {log}")
        yield stack
