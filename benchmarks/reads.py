"""How many profiles a second does the API answer, how soon, and with how much memory?"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.asking import Answers, Questions, asking
from benchmarks.measurement import Measurement, Sizes
from benchmarks.plots import Kind, Plot
from benchmarks.population import PATHS, WORKSPACE, newer, records_of
from benchmarks.report import Row, Section
from benchmarks.rig import Running, Servers, installation, specs_of, started, wait_until_ready
from benchmarks.usage import usage
from customeros.runtime.clients import deliver, producer
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed

_WRITES_A_SECOND: Final = 300
_CONNECTIONS: Final = 16
# Open loop: so many that nobody waits for a connection.
_MANY_CONNECTIONS: Final = 64
_RATES: Final = (500.0, 1_000.0, 2_000.0)
_WARM_UP_SECONDS: Final = 2.0
_OPEN_SECONDS: Final = 1_800.0
_FILL_SECONDS: Final = 120.0


def measure_reads(servers: Servers, *, customers: int, seconds: float, run: int) -> list[Section]:
    """Fill the topics that the API reads, start it on one core, ask from the other."""
    settings = installation(servers, f"reads-{run}")
    secrets = read_secrets(settings)
    secret = secrets.workspace_key(WORKSPACE)
    filled_bytes = _fill(settings, customers, secret)
    cores = sorted(os.sched_getaffinity(0))
    own, others = {cores[0]}, set(cores[1:]) or {cores[0]}
    begun = time.monotonic()
    with (
        started(specs_of(settings)["api"], settings.home / "logs") as api,
        asking(others) as ask,
    ):
        wait_until_ready(api, seconds=_OPEN_SECONDS)
        start: Row = {
            "what": "start",
            "customers": customers,
            "records MB": round(filled_bytes / 1e6),
            "seconds": time.monotonic() - begun,
            "CPU s": usage(api.pid).cpu_seconds,
            "RSS MB": _rss_mb(api),
            "disk MB": round(sum(f.stat().st_size for f in _kept(settings)) / 1e6),
        }
        _pin(api.pid, own)
        _pin(servers.kafka.pid, others)

        def asked(what: str, lasts: float, rate: float | None = None) -> Row:
            questions = Questions(
                port=settings.api.port,
                token=secrets.api_token,
                paths=PATHS,
                among=customers,
                connections=_CONNECTIONS if rate is None else _MANY_CONNECTIONS,
                seconds=lasts,
                rate=rate,
                seed=round(rate or 0),
            )
            before = usage(api.pid).cpu_seconds
            answers = ask(questions)
            used = usage(api.pid).cpu_seconds - before
            return {"what": what, **_figures(answers, used), "RSS MB": _rss_mb(api)}

        try:
            with _writing(settings, customers, secret):
                asked("", min(_WARM_UP_SECONDS, seconds))
                rows = [asked(f"{_CONNECTIONS} connections", seconds)]
                rows += [asked(f"{rate:,.0f} a second", seconds, rate) for rate in _RATES]
        finally:
            _pin(servers.kafka.pid, set(cores))
    return [
        Section(
            "Reads",
            f"Profiles by identifier among {customers:,} customers, everyone as likely, from the "
            f"process `api` on one core, while {_WRITES_A_SECOND} states a second arrive. Client, "
            "broker and writer have the other cores. `connections`: each asks again as soon as it "
            "is answered; `a second`: each question is due at its time and waits from then on.",
            rows,
        ),
        Section(
            "Start of the API",
            "From the start of the process until `/readyz` says that it holds all customers; each "
            "has a state, two assignments and two pieces of evidence.",
            [start],
        ),
    ]


def _fill(settings: Settings, customers: int, secret: bytes) -> int:
    """Straight to the topics; bytes of keys and values."""
    sender = producer(settings, **{"queue.buffering.max.messages": 1_000_000, "linger.ms": 50})
    size = 0

    def records() -> Iterator[tuple[str, bytes, bytes]]:
        nonlocal size
        for number in range(customers):
            for topic, key, value in records_of(number, secret):
                size += len(key) + len(value)
                yield prefixed(settings, topic), key, value

    deliver(sender, records(), seconds=_FILL_SECONDS)
    return size


@contextmanager
def _writing(settings: Settings, customers: int, secret: bytes) -> Iterator[None]:
    """States of anybody arrive, so many a second, until the context ends."""
    chance, stop = random.Random(7), threading.Event()

    def write() -> None:
        sender = producer(settings)
        begun, sent = time.monotonic(), 0
        while not stop.wait(max(0.0, begun + sent / _WRITES_A_SECOND - time.monotonic())):
            version = time.time_ns() // 1_000_000
            topic, key, value = newer(chance.randrange(customers), secret, version)
            sender.produce(prefixed(settings, topic), value, key)
            sender.poll(0)
            sent += 1
        sender.flush(30)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def _figures(answers: Answers, used: float) -> Row:
    took, count = answers.took, len(answers.took)
    refused = count - answers.statuses.get(200, 0)
    return {
        "requests/s": count / answers.seconds,
        "p50 ms": took[count // 2] * 1e3,
        "p99 ms": took[count * 99 // 100] * 1e3,
        "max ms": took[-1] * 1e3,
        "CPU µs/request": used / count * 1e6,
        "client's µs": answers.cpu_seconds / count * 1e6,
        "bytes": answers.bytes // count,
        "not 200": refused,
    }


def _rss_mb(api: Running) -> int:
    return round(usage(api.pid).rss_bytes / 1e6)


def _kept(settings: Settings) -> Iterator[Path]:
    return (path for path in (settings.home / "state").rglob("*") if path.is_file())


def _pin(pid: int, cores: set[int]) -> None:
    """Keep all threads of a process on *cores*; those that they start follow."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


MEASUREMENT: Final = Measurement(
    "reads",
    lambda run: measure_reads(
        run.servers(), customers=run.sizes.customers, seconds=run.sizes.seconds, run=run.number
    ),
    usual=Sizes(customers=1_000_000, seconds=20),
    quick=Sizes(customers=500, seconds=0.5),
    plots=(
        Plot(
            name="reads",
            section="Reads",
            question="How soon is a profile answered, on one core, while others are written?",
            kind=Kind.NESTED,
            x="what",
            values=("p50 ms", "p99 ms"),
            unit="ms until the answer",
            log="y",
            aim=20,
        ),
    ),
)
