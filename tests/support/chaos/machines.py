"""The platform of a run: one machine with everything, and perhaps a second with more workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from customeros.ops.laptop import workers
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import (
    LOOPBACK,
    Api,
    ClickHouse,
    Collector,
    Kafka,
    Secrets,
    Settings,
    Worker,
    read_settings,
)
from customeros.runtime.stack import supervisor
from customeros.runtime.stack.processes import environment, tethered
from customeros.runtime.stack.runfile import ProcessState, read_run
from support.chaos.plan import SESSION_SECONDS
from support.chaos.traffic import SOURCES
from support.histories import WORKSPACE
from support.offline import PRIORITIES
from support.ports import free_port

_EVERYTHING: Final = ("-m", "customeros.ops", "up")
_WORKERS: Final = ("-m", "support.chaos.machines")
_STOP_SECONDS: Final = 40.0
_TESTS: Final = Path(__file__).parents[2]


class Machine:
    """
    A supervisor with a home of its own.

    Args:
        name: `a` or `b`.
        argv: Python's arguments, which make it keep its processes up.
        env: in addition to the settings.
    """

    def __init__(
        self, name: str, settings: Settings, argv: tuple[str, ...], env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.settings = settings
        self._argv = argv
        self._env = env
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor; the kernel ties it to the thread that calls this."""
        log = self.settings.home / "logs" / "supervisor.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                tethered([sys.executable, *self._argv]),
                env={
                    **os.environ,
                    **environment(self.settings),
                    "PYTHONPATH": os.pathsep.join((str(_TESTS), os.environ.get("PYTHONPATH", ""))),
                    **self._env,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._child is not None
        return self._child.pid

    def has_ended(self) -> bool:
        """Whether its supervisor has."""
        return self._child is not None and self._child.poll() is not None

    def processes(self) -> dict[str, ProcessState]:
        """What the supervisor last said of each of its processes."""
        run = read_run(self.settings.home)
        return {process.name: process for process in run.processes} if run else {}

    def pids(self) -> dict[str, int]:
        """Of the processes that live."""
        return {
            name: process.pid
            for name, process in self.processes().items()
            if process.pid is not None and lives(process.pid)
        }

    def healthy(self) -> bool:
        """Whether each process answers that it is at work."""
        return supervisor.status(self.settings).ready

    def signal(self, name: str, number: int) -> int | None:
        """Send a signal to a process; its pid, or None: it does not live now."""
        pid = self.pids().get(name)
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, number)
                return pid
        return None

    def stop(self) -> None:
        """End everything, in order where that is possible."""
        for pid in (*self.pids().values(), *([self._child.pid] if self._child else [])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if self._child is None or self._child.poll() is not None:
            return
        self._child.terminate()
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def machines(home: Path, *, two: bool, env: Mapping[str, Mapping[str, str]]) -> Iterator[Machine]:
    """
    The machines of a run below *home*, not started.

    Args:
        env: of each machine, by its name.
    """
    first = _settings(home)
    yield Machine("a", first, _EVERYTHING, env.get("a", {}))
    if two:
        elsewhere = {
            "home": home / "b",
            "kafka": first.kafka.model_copy(update={"bootstrap": first.bootstrap}),
            "clickhouse": first.clickhouse.model_copy(update={"url": first.clickhouse_url}),
        }
        yield Machine("b", first.model_copy(update=elsewhere), _WORKERS, env.get("b", {}))


def _settings(home: Path) -> Settings:
    config = home / "customeros.toml"
    home.mkdir(parents=True, exist_ok=True)
    config.write_text(
        "".join(
            f"[workspaces.{WORKSPACE}.sources.{source}]\n"
            f"priority = {PRIORITIES.get((WORKSPACE, source), 0)}\n"
            for source in SOURCES
        )
    )
    return Settings(
        home=home / "a",
        config=config,
        kafka=Kafka(port=free_port()),
        clickhouse=ClickHouse(port=free_port()),
        collector=Collector(port=free_port()),
        api=Api(port=free_port()),
        worker=Worker(session_seconds=SESSION_SECONDS),
        secrets=Secrets(
            master_key=SecretStr("a master key of the chaos tests"),
            write_key=SecretStr("wk_unused"),
            api_token=SecretStr("tok_chaos"),
        ),
    )


def lives(pid: int) -> bool:
    """Whether there is such a process, which is more than what its parent has yet to hear of."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def write_keys(settings: Settings) -> dict[str, str]:
    """Of each source of the runs."""
    secrets = read_secrets(settings)
    return {source: secrets.source_key(WORKSPACE, source) for source in SOURCES}


def url_of(place: Collector | Api) -> str:
    """Where it listens."""
    return f"http://{LOOPBACK}:{place.port}"


def _keep_workers_up() -> int:
    settings = read_settings()
    return supervisor.up(settings, workers(settings), detach=False)


if __name__ == "__main__":
    sys.exit(_keep_workers_up())
