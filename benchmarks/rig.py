"""The servers and processes under measurement, in a folder that is gone afterwards."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from benchmarks.traffic import Call
from customeros.connectors.tracking import TrackingClient
from customeros.ops import laptop
from customeros.ops.lag import stage_lags
from customeros.ops.stages import STAGES
from customeros.runtime.begun import begun_with
from customeros.runtime.errors import Unavailable
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Api, ClickHouse, Collector, Kafka, Settings
from customeros.runtime.stack.ports import free_port
from customeros.runtime.stack.processes import Spec, answers, embedded_specs, spawn, tail
from customeros.runtime.topics import ensure_topics
from customeros.schemas.topics import all_topics

# A cold cache fetches Kafka's jars first.
_START_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.02


class Running(NamedTuple):
    """A process that answers; `pid` is its own, not a shell's."""

    spec: Spec
    pid: int
    child: subprocess.Popen[bytes]
    log: Path


class Servers(NamedTuple):
    """One Kafka and one ClickHouse that all benchmarks of a run share."""

    settings: Settings
    kafka: Running
    clickhouse: Running


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Embedded ones, for as long as the context lasts."""
    with TemporaryDirectory(prefix="customeros-benchmarks-") as folder, ExitStack() as stack:
        config = Path(folder) / "customeros.toml"
        config.write_text("[workspaces.default.sources.demo]\n")
        settings = Settings(
            home=Path(folder),
            config=config,
            kafka=Kafka(port=free_port(), partitions=begun_with(Path(folder))),
            clickhouse=ClickHouse(port=free_port()),
        )
        kafka, clickhouse = (
            stack.enter_context(running(spec, settings.home / "logs"))
            for spec in embedded_specs(settings)
        )
        yield Servers(settings, kafka, clickhouse)


def installation(servers: Servers, name: str, *, partitions: int | None = None) -> Settings:
    """
    A platform of its own on the same servers; its topics are there, its database is not.

    Args:
        partitions: of every topic; None: as many as by default.
    """
    shared = servers.settings
    settings = Settings(
        home=shared.home / name,
        config=shared.config,
        kafka=Kafka(
            bootstrap=shared.bootstrap,
            topic_prefix=f"{name}.",
            partitions=partitions or shared.kafka.partitions,
        ),
        clickhouse=ClickHouse(url=shared.clickhouse_url, database=name.replace("-", "_")),
        collector=Collector(port=free_port()),
        api=Api(port=free_port()),
    )
    read_secrets(settings)
    ensure_topics(settings, all_topics(STAGES))
    return settings


def specs_of(settings: Settings) -> dict[str, Spec]:
    """The platform's own processes by name, as `customeros up` runs them."""
    return {spec.name: spec for spec in laptop.specs(settings)}


@contextmanager
def running(spec: Spec, logs: Path) -> Iterator[Running]:
    """The process from when it answers; ended as the supervisor would."""
    with started(spec, logs) as process:
        wait_until_ready(process)
        yield process


@contextmanager
def started(spec: Spec, logs: Path) -> Iterator[Running]:
    """The process from when it was started, see `wait_until_ready`."""
    log = logs / f"{spec.name}.log"
    child = spawn(spec, log)
    try:
        yield Running(spec, child.pid, child, log)
    except OSError as error:
        # What was asked of it failed, since it is no more.
        if child.poll() is None:
            raise
        raise ChildProcessError(f"{spec.name} ended ({child.returncode}): {tail(log)}") from error
    finally:
        child.terminate()
        try:
            child.wait(spec.stop_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until_ready(process: Running, *, seconds: float = _START_SECONDS) -> None:
    """Return when it answers."""
    wait_until(lambda: _answers(process), seconds=seconds, what=process.spec.name)


def check_alive(processes: Iterable[Running]) -> None:
    """
    Return if none of *processes* has ended.

    Raises:
        ChildProcessError: one has; with the end of its log.
    """
    for spec, _, child, log in processes:
        if child.poll() is not None:
            raise ChildProcessError(f"{spec.name} ended ({child.returncode}): {tail(log)}")


@contextmanager
def running_all(settings: Settings) -> Iterator[dict[str, Running]]:
    """Every process of the platform but the servers."""
    logs = settings.home / "logs"
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(running(spec, logs))
            for name, spec in specs_of(settings).items()
        }


def send_all(settings: Settings, calls: Sequence[Call], *, batch: int, connections: int) -> None:
    """Send them over so many connections at once; returns when the collector has all."""
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda n: _send(settings, calls[n::connections], batch), range(connections)))


def is_through(settings: Settings, *stages: str) -> bool:
    """Whether these stages have committed all that there is for them to read."""
    try:
        lags = stage_lags(settings)
    except Unavailable:
        return False
    return not any(lags[stage] for stage in stages)


def tracking_client(settings: Settings, *, batch: int) -> TrackingClient:
    """A client of the installation's collector."""
    url = f"http://{settings.collector.host}:{settings.collector.port}"
    return TrackingClient(url, read_secrets(settings).write_key, batch_calls=batch)


def wait_until(
    holds: Callable[[], bool], *, seconds: float, what: str, every: float = _POLL_SECONDS
) -> None:
    """
    Return once *holds* does.

    Raises:
        TimeoutError: it does not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def _send(settings: Settings, calls: Sequence[Call], batch: int) -> None:
    with tracking_client(settings, batch=batch) as client:
        client.send_all(calls)


def _answers(process: Running) -> bool:
    check_alive([process])
    return answers(process.spec.ready)
