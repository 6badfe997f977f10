"""What is one process of the stack: its command, when it is ready, what it needs, how it stops?"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from customeros.runtime.settings import GENERATION_VARIABLE, LOOPBACK, Settings
from customeros.runtime.stack import tether
from customeros.runtime.stack.kafka import brokers_in_service

# A log is cut when it has grown past this, bytes; one older piece is kept beside it.
_LOG_BYTES = 10 << 20
_SILENT, _UNREADY = "does not answer", "is not ready"
# The C library keeps a heap for each of a dozen threads otherwise, and Arrow one of its own:
# memory that was needed once and is never given back.
_FRUGAL = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
# One probe of a process on this machine, s.
_PROBE_SECONDS = 1.0


@dataclass(frozen=True)
class Spec:
    """
    One process to keep up.

    Args:
        name: of the process, its log and its line; unique in the stack.
        env: added to the supervisor's own environment.
        ready: `http://…` answers with success, `kafka://host:port` is in service, `tcp://host:port`
            accepts; empty: being alive is being ready.
        after: names of those that must be ready before it starts and that stop after it.
        port: that it listens on; it must be free before the stack starts.
        port_setting: the variable that changes `port`.
        stop_seconds: from SIGTERM to SIGKILL.
        patience_seconds: once ready and then without any answer for so long, it is frozen.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str = ""
    after: tuple[str, ...] = ()
    port: int | None = None
    port_setting: str = ""
    stop_seconds: float = 10.0
    patience_seconds: float = 60.0


def embedded_specs(settings: Settings) -> tuple[Spec, ...]:
    """Kafka and ClickHouse, each unless the settings name one that is somewhere else."""
    command = (sys.executable, "-m", "customeros.runtime.stack")
    env = shared_environment(settings)
    kafka, clickhouse = settings.kafka, settings.clickhouse
    specs = []
    if kafka.bootstrap is None:
        specs.append(
            Spec(
                name="kafka",
                argv=(*command, "kafka"),
                env=env,
                ready=f"kafka://{LOOPBACK}:{kafka.port}",
                port=kafka.port,
                port_setting="CUSTOMEROS_KAFKA__PORT",
                stop_seconds=20.0,
                # A broker that starts anew costs everybody more than one that collects garbage.
                patience_seconds=120.0,
            )
        )
    if clickhouse.url is None:
        specs.append(
            Spec(
                name="clickhouse",
                argv=(*command, "clickhouse"),
                env=env,
                ready=f"http://{LOOPBACK}:{clickhouse.port}/ping",
                port=clickhouse.port,
                port_setting="CUSTOMEROS_CLICKHOUSE__PORT",
            )
        )
    return tuple(specs)


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make a child read these settings; paths absolute, what is unset absent."""
    return dict(_variables("CUSTOMEROS", settings))


def shared_environment(settings: Settings) -> dict[str, str]:
    """`environment` for a process that all generations share."""
    variables = environment(settings)
    variables.pop(GENERATION_VARIABLE, None)
    return variables


def _variables(prefix: str, section: BaseModel) -> Iterable[tuple[str, str]]:
    separator = "_" if prefix == "CUSTOMEROS" else "__"
    for name in type(section).model_fields:
        value, variable = getattr(section, name), f"{prefix}{separator}{name.upper()}"
        match value:
            case BaseModel():
                yield from _variables(variable, value)
            case SecretStr():
                yield variable, value.get_secret_value()
            case Path():
                yield variable, str(value.absolute())
            case None:
                pass
            case _:
                yield variable, str(value)


def spawn(spec: Spec, log: Path) -> subprocess.Popen[bytes]:
    """
    Start it, output appended to `log`; it dies when this process does.

    Call it from the main thread: the kernel ties the child to the thread that started it. It gets a
    process group of its own, so that a Ctrl-C reaches the supervisor alone.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    bound_log(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            tethered(spec.argv),
            env={**_FRUGAL, **os.environ, **spec.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def tethered(argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv` as a child which does not outlive this process."""
    return [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *argv]


def bound_log(log: Path) -> None:
    """Move what is there aside if it is long; a process that appends to it may go on doing so."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def tail(log: Path, *, lines: int = 20) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def answers(check: str) -> bool:
    """Whether a readiness check (see `Spec.ready`) holds now; raises nothing."""
    return not trouble(check)


def says_anything(check: str, seconds: float) -> bool:
    """Whether a readiness check is answered within so many seconds, be it with a refusal."""
    return trouble(check, seconds=seconds) != _SILENT


def trouble(check: str, *, seconds: float = _PROBE_SECONDS) -> str:
    """Why a readiness check (see `Spec.ready`) does not hold now, in words; empty: it does."""
    if not check:
        return ""
    place = urlsplit(check)
    host, port = place.hostname or LOOPBACK, place.port or 0
    match place.scheme:
        case "kafka":
            brokers = brokers_in_service(host, port, seconds=seconds)
            return "" if brokers else _SILENT if brokers is None else _UNREADY
        case "tcp":
            return "" if _accepts(host, port, seconds) else _SILENT
        case _:
            return _refusal(check, seconds)


def _accepts(host: str, port: int, seconds: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False


def _refusal(url: str, seconds: float) -> str:
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:  # noqa: S310 - ours
            return "" if 200 <= int(response.status) < 300 else _UNREADY
    except urllib.error.HTTPError as refused:
        with refused:
            return _reason(refused)
    except (OSError, ValueError, HTTPException):
        return _SILENT


def _reason(refused: urllib.error.HTTPError) -> str:
    """What a process says itself, as `/readyz` of `runtime.metrics` does."""
    try:
        return str(json.loads(refused.read())["reason"])
    except (OSError, HTTPException, ValueError, TypeError, KeyError):
        return _UNREADY
