"""
Which jars are Kafka, and how do they get here?

`jgo.lock.toml` beside this file pins every one of them by SHA-256; they are fetched once into a
cache that every home on this machine shares. `python -m customeros.runtime.stack lock` resolves
the endpoints anew and prints that file.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from customeros.runtime.errors import Misconfigured
from customeros.runtime.stack.cache import default_cache

KAFKA_VERSION = "4.2.0"

# jgo applies the version management of every endpoint to all others; `!` keeps those that are not
# Kafka's own out of that. Kafka brings no slf4j binding, and without one there is no log at all.
ENDPOINTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3!",
    "org.apache.logging.log4j:log4j-core:2.24.3!",
)
LOCK_FILE = Path(__file__).with_name("jgo.lock.toml")

# Enough to keep a slow line busy, few enough to be polite to the repository.
_DOWNLOADS = 8
# Of one read from the repository, s.
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Jar:
    """One pinned file; `size` in bytes."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def read_lock(text: str | None = None) -> tuple[Jar, ...]:
    """The pinned jars, of the lock file in this package unless another is given."""
    lock = tomllib.loads(LOCK_FILE.read_text() if text is None else text)
    return tuple(
        Jar(d["groupId"], d["artifactId"], d["version"], d["sha256"], d["size"])
        for d in lock["dependencies"]
    )


def kafka_classpath(cache: Path | None = None) -> list[Path]:
    """
    Every jar of the lock, verified; what is missing or damaged is fetched first.

    Any number of processes may call this at once: one fetches, the others wait for it.

    Raises:
        Misconfigured: a jar is missing and cannot be fetched.
    """
    folder = (cache or default_cache()) / f"kafka-{KAFKA_VERSION}"
    return classpath(read_lock(), folder, "The embedded Kafka")


def classpath(jars: tuple[Jar, ...], folder: Path, what: str) -> list[Path]:
    """
    The same for the *jars* of *what*, kept in *folder*.

    Raises:
        Misconfigured: a jar is missing and cannot be fetched.
    """
    if _missing(jars, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _fetch(_missing(jars, folder), folder, what)
    return [folder / jar.name for jar in jars]


def _missing(jars: tuple[Jar, ...], folder: Path) -> tuple[Jar, ...]:
    return tuple(jar for jar in jars if not _intact(folder / jar.name, jar))


def _intact(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _fetch(jars: tuple[Jar, ...], folder: Path, what: str) -> None:
    if not jars:
        return
    size = sum(jar.size for jar in jars)
    title = f"{what}: fetching {len(jars)} jars, {size / 1e6:.0f} MB"
    staging = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
    try:
        with _progress(f"{title}, once, into {folder}", size) as advance:
            download = _downloader(staging, advance)
            with ThreadPoolExecutor(_DOWNLOADS) as pool:
                for _ in pool.map(lambda jar: _place(download(jar), jar, folder), jars):
                    pass
    except Misconfigured:
        raise
    except Exception as error:  # whatever the resolver or the network raises means the same here
        raise Misconfigured(
            f"{what} needs {len(jars)} jars ({size / 1e6:.0f} MB) that are not in"
            f" {folder}, and they could not be fetched ({type(error).__name__}). With network"
            " access to Maven's central repository, or to a mirror named in jgo's configuration,"
            " start again; or copy that folder from a machine where customerOS has run; or set"
            " CUSTOMEROS_KAFKA__BOOTSTRAP to a Kafka of your own."
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _place(downloaded: Path, jar: Jar, folder: Path) -> None:
    if not _intact(downloaded, jar):
        raise Misconfigured(
            f"{jar.name} came with another SHA-256 than {LOCK_FILE.name} pins, and was thrown"
            " away; whoever serves it changed it, or something between here and there did."
        )
    downloaded.replace(folder / jar.name)


def _downloader(staging: Path, advance: Callable[[int], None]) -> Callable[[Jar], Path]:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def counted(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield advance

    maven = MavenContext(
        resolver=PythonResolver(progress_callback=counted),
        repo_cache=staging,
        remote_repos={**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL},
        timeout=_TIMEOUT_SECONDS,
    )

    def download(jar: Jar) -> Path:
        component = maven.project(jar.group, jar.artifact).at_version(jar.version)
        return Path(component.artifact().resolve())

    return download


@contextmanager
def _progress(title: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar where someone watches, else a line per quarter; on stderr, stdout is for answers."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        console = Console(stderr=True)
        console.print(title)
        with Progress(
            BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
        ) as progress:
            task = progress.add_task("", total=size)
            yield lambda count: progress.advance(task, count)
        return
    print(title, file=sys.stderr, flush=True)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if before * 4 // size != done * 4 // size:
            print(f"  {done * 100 // size} %", file=sys.stderr, flush=True)

    yield advance


def resolve_lock(endpoints: Sequence[str] = ENDPOINTS, *, but: Iterable[Jar] = ()) -> str:
    """
    Resolve the endpoints anew; the text of `jgo.lock.toml`, without the name of any host.

    Args:
        but: jars that are had already, in whatever version.
    """
    had = {(jar.group, jar.artifact) for jar in but}
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import EnvironmentBuilder, LinkStrategy
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as scratch:
        maven = MavenContext(
            repo_cache=Path(scratch) / "m2",
            remote_repos={"central": MAVEN_CENTRAL_URL},
            timeout=_TIMEOUT_SECONDS,
        )
        builder = EnvironmentBuilder(
            context=maven, cache_dir=Path(scratch) / "jgo", link_strategy=LinkStrategy.HARD
        )
        built = Path(builder.from_endpoint("+".join(endpoints)).path)
        locked = tomllib.loads((built / LOCK_FILE.name).read_text())["dependencies"]
        sizes = {path.name: path.stat().st_size for path in built.rglob("*.jar")}
    return render_lock(
        Jar(d["groupId"], d["artifactId"], d["version"], d["sha256"], sizes[_file_name(d)])
        for d in locked
        if (d["groupId"], d["artifactId"]) not in had
    )


def render_lock(jars: Iterable[Jar]) -> str:
    """What `read_lock` reads, in a stable order."""
    entries = (
        f'[[dependencies]]\ngroupId = "{jar.group}"\nartifactId = "{jar.artifact}"\n'
        f'version = "{jar.version}"\npackaging = "jar"\n'
        f'sha256 = "{jar.sha256}"\nsize = {jar.size}\n'
        for jar in sorted(jars, key=lambda jar: (jar.group, jar.artifact))
    )
    return "\n".join(["# python -m customeros.runtime.stack lock", "", *entries])


def _file_name(locked: dict[str, Any]) -> str:
    return f"{locked['artifactId']}-{locked['version']}.jar"
