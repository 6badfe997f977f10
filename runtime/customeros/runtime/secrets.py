"""The secrets of an installation: given by the environment, or generated once under its home."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import SecretStr

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import Settings

# Shown to people, used by their scripts.
CREDENTIALS_FILE: Final = "credentials.json"
# Lost, every identifier gets another key: it belongs into the backup.
MASTER_KEY_FILE: Final = "secrets/master.key"


class Secrets(NamedTuple):
    """What this process may prove itself with; never printed but by `customeros up`."""

    master_key: bytes
    write_key: str
    api_token: str

    def workspace_key(self, workspace: str) -> bytes:
        """The key of the workspace's identifier keys; the same on every machine and start."""
        return hmac.digest(self.master_key, b"workspace|" + workspace.encode(), hashlib.sha256)

    def source_key(self, workspace: str, source: str) -> str:
        """The write key of a source that names none: derived, so that it survives restarts."""
        digest = hmac.digest(self.master_key, f"source|{workspace}|{source}".encode(), "sha256")
        return f"wk_{digest.hex()[:32]}"


def read_secrets(settings: Settings) -> Secrets:
    """
    Read what the environment gives, generate and keep the rest; safe from several processes.

    Raises:
        Misconfigured: the files cannot be read or written; the text names them.
    """
    given = settings.secrets
    home = settings.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".secrets.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            master = _given(given.master_key) or _master_key(home / MASTER_KEY_FILE)
            known = _credentials(home / CREDENTIALS_FILE)
            kept = dict(known)
            kept["write_key"] = (
                _given(given.write_key) or known.get("write_key") or f"wk_{secrets.token_hex(16)}"
            )
            kept["api_token"] = (
                _given(given.api_token) or known.get("api_token") or f"tok_{secrets.token_hex(16)}"
            )
            if kept != known:
                _write(home / CREDENTIALS_FILE, json.dumps(kept, indent=1) + "\n")
    except OSError as error:
        raise Misconfigured(
            f"CUSTOMEROS_HOME={home} cannot be used ({error.strerror}): "
            "name a folder that this user may write"
        ) from error
    return Secrets(master.encode(), kept["write_key"], kept["api_token"])


def _given(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _master_key(path: Path) -> str:
    if not path.exists():
        _write(path, secrets.token_hex(32))
    return path.read_text().strip()


def _credentials(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Misconfigured(f"{path} is not a JSON object: mend it, or remove it to get new keys")
    return found


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for this user only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
