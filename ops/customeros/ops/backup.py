"""The embedded stack as a folder: what cannot be made again, and a list to check it by."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from customeros.runtime.begun import FILE as PARTITIONS_FILE
from customeros.runtime.errors import Misconfigured
from customeros.runtime.generation import FILE as GENERATION_FILE
from customeros.runtime.secrets import CREDENTIALS_FILE, MASTER_KEY_FILE
from customeros.runtime.settings import Settings
from customeros.runtime.stack.kafka import data_folder
from customeros.runtime.stack.runfile import take_home

_LIST: Final = "backup.json"
_FORM: Final = 1
_CLICKHOUSE: Final = "clickhouse/data"
# The workers' stores are not among them: they are made again from the changelogs.
_STORES: Final = "state"


def back_up(settings: Settings, folder: Path) -> int:
    """
    Copy what the stopped stack of this home keeps into the new *folder*; how many bytes it was.

    The folder appears whole or not at all. It holds the secrets too: keep it as you keep those.

    Raises:
        Misconfigured: the stack runs, is not embedded, or the folder is there already.
    """
    home = settings.home.absolute()
    kept = _kept(settings)
    if settings.kafka.bootstrap is not None or not data_folder(settings).exists():
        raise Misconfigured(
            f"{home} holds no embedded Kafka: docs/backup.md tells what to keep elsewhere"
        )
    if folder.exists():
        raise Misconfigured(f"{folder} is there already: name a new folder")
    lock = take_home(home)
    if lock is None:
        raise Misconfigured(f"the stack in {home} runs: stop it with `customeros down` first")
    draft = folder.with_name(f".{folder.name}.draft")
    with lock:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        for name in kept:
            _copy(home / name, draft / name)
        files = dict(_files(draft))
        said = {"form": _FORM, "made_at": int(time.time()), "files": files}
        (draft / _LIST).write_text(json.dumps(said, indent=1))
        draft.rename(folder)
    return sum(int(file["bytes"]) for file in files.values())


def restore(settings: Settings, folder: Path) -> int:
    """
    Make this home, which holds nothing yet, what *folder* was made of; how many bytes it was.

    Raises:
        Misconfigured: it is no backup, or not as it was made, or the home holds something.
    """
    home = settings.home.absolute()
    files = _checked(folder)
    lock = take_home(home)
    if lock is None:
        raise Misconfigured(f"the stack in {home} runs: restore into a home of its own")
    with lock:
        if held := [name for name in (*_kept(settings), _STORES) if (home / name).exists()]:
            raise Misconfigured(
                f"{home} holds {held[0]} already: name another by CUSTOMEROS_HOME, or remove it"
            )
        for name in _kept(settings):
            _copy(folder / name, home / name)
    return sum(int(file["bytes"]) for file in files.values())


def _kept(settings: Settings) -> tuple[str, ...]:
    kafka = data_folder(settings).relative_to(settings.home.absolute())
    return (
        str(kafka),
        PARTITIONS_FILE,
        _CLICKHOUSE,
        MASTER_KEY_FILE,
        CREDENTIALS_FILE,
        GENERATION_FILE,
    )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if source.is_dir():
        # ClickHouse's own links lead from one of these files to another.
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        shutil.copy2(source, target)


def _checked(folder: Path) -> dict[str, Any]:
    """The list of *folder*'s files, each of which is as it was."""
    try:
        said = json.loads((folder / _LIST).read_text())
    except (OSError, ValueError):
        raise Misconfigured(
            f"{folder} is no backup: there is no {_LIST} that can be read"
        ) from None
    if said.get("form") != _FORM:
        raise Misconfigured(f"{folder} was made by another version, which can restore it")
    files: dict[str, Any] = said["files"]
    found = dict(_files(folder))
    if wrong := sorted(
        name for name in files.keys() | found.keys() if files.get(name) != found.get(name)
    ):
        raise Misconfigured(
            f"{folder} is not as it was made: {len(wrong)} files differ, first {wrong[0]}"
        )
    return files


def _files(folder: Path) -> Iterator[tuple[str, dict[str, str | int]]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path != folder / _LIST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield str(path.relative_to(folder)), {"bytes": path.stat().st_size, "sha256": digest}
