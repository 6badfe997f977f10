"""Which engines do the job, what does each promise, and what must be here to run it?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.engine import jvm
from benchmarks.machine import ROOT
from customeros.runtime.errors import Misconfigured
from customeros.runtime.stack.java import find_java

# So that its memory is what it needs, not what the machine has; everything else as the JVM decides.
_JAVA_OPTIONS: Final = ("-Xmx512m", "--add-opens=java.base/java.util=ALL-UNNAMED")
# With 60,000 before the clock its CPU was twice that with 150,000: the JVM was still compiling.
_COMPILED_AFTER: Final = 400_000
_PACKAGE: Final = "benchmarks.engine"


class NotHere(Exception):
    """It cannot run on this machine; the sentence says why."""


class Engine(NamedTuple):
    """
    One row.

    Args:
        command: that starts it, with a folder for what is compiled; raises NotHere.
        promises: what its documentation says of a crash, with the settings used.
        part: it is so slow that it gets one of so many events.
        warm: at least so many events come before its clock starts.
        each: it says new sums for every event, not once for all of a batch.
    """

    name: str
    what: str
    command: Callable[[Path], tuple[str, ...]]
    promises: str
    part: int = 1
    warm: int = 0
    each: bool = True


def _own(module: str, *arguments: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda _: (sys.executable, "-m", f"{_PACKAGE}.{module}", *arguments)


def _with_own_packages(
    environment: str, module: str, *arguments: str
) -> Callable[[Path], tuple[str, ...]]:
    def command(_: Path) -> tuple[str, ...]:
        python = ROOT / f".venv-{environment}" / "bin" / "python"
        if not (python.parent.parent / "installed").exists():
            raise NotHere(f"its packages are not installed: make .venv-{environment}/installed")
        return (str(python), "-m", f"{_PACKAGE}.{module}", *arguments)

    return command


def _on_jvm(engine: str, main: str, *arguments: str) -> Callable[[Path], tuple[str, ...]]:
    def command(folder: Path) -> tuple[str, ...]:
        compiler = shutil.which("javac")
        if compiler is None:
            raise NotHere("no javac on the PATH: install a JDK of Java 17 or newer")
        try:
            java, path = find_java(), os.pathsep.join(map(str, jvm.classpath(engine)))
        except Misconfigured:
            raise NotHere("its jars are not in the cache and cannot be fetched") from None
        sources = map(str, jvm.sources(main))
        subprocess.run(
            [compiler, "--release", "17", "-cp", path, "-d", str(folder), *sources], check=True
        )
        return (str(java), *_JAVA_OPTIONS, "-cp", f"{folder}{os.pathsep}{path}", main, *arguments)

    return command


ENGINES: Final = (
    Engine(
        "ours",
        "ours, output per event",
        _own("ours", "event"),
        "exactly once",
    ),
    Engine(
        "ours-batch",
        "ours, output per key and batch",
        _own("ours", "batch"),
        "exactly once",
        each=False,
    ),
    Engine(
        "streams-eos",
        "Kafka Streams, exactly_once_v2",
        _on_jvm("kafka_streams", "OnKafkaStreams", "exactly_once_v2"),
        "exactly once",
        warm=_COMPILED_AFTER,
    ),
    Engine(
        "streams",
        "Kafka Streams, at_least_once",
        _on_jvm("kafka_streams", "OnKafkaStreams", "at_least_once"),
        "at least once",
        warm=_COMPILED_AFTER,
    ),
    Engine(
        "flink",
        "Flink, checkpoints of 100 ms",
        _on_jvm("flink", "OnFlink", "0.1"),
        "exactly once",
        warm=_COMPILED_AFTER,
    ),
    Engine(
        "flink-1s",
        "Flink, checkpoints of 1 s",
        _on_jvm("flink", "OnFlink", "1"),
        "exactly once",
        warm=_COMPILED_AFTER,
    ),
    Engine(
        "bytewax",
        "Bytewax",
        _with_own_packages("bytewax", "bytewax_job"),
        "at least once, on one disk",
    ),
    Engine(
        "quix-eos",
        "Quix Streams, exactly-once",
        _with_own_packages("quix", "quix", "exactly-once"),
        "exactly once",
    ),
    Engine(
        "quix",
        "Quix Streams, at-least-once",
        _with_own_packages("quix", "quix", "at-least-once"),
        "at least once",
    ),
    Engine(
        "faust",
        "plain Faust",
        _own("plain_faust"),
        "loses and doubles",
        part=20,
    ),
)
