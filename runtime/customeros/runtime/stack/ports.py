"""Which ports of this machine are free, and who has one that is not?"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from typing import Final

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import LOOPBACK, Settings
from customeros.runtime.stack.cache import default_cache

# Below the range that systems hand out to clients (32768 and up on Linux), so that no passing
# connection takes a port between our looking and our listening.
_FREE_RANGE = range(20_000, 32_000)
# Of the files that stay locked until this process ends, one for each port that it was told.
_claims: Final[list[int]] = []


def free_port(besides: Set[int] = frozenset()) -> int:
    """
    A port that nobody listens on, and nobody else is told as long as this process lives.

    Two servers that are told the same are not both in service, but both seem to be: the one that
    got it answers for the other. Minutes may pass between the telling and the listening.

    Args:
        besides: what others will listen on, see `ports_of`.

    Raises:
        Misconfigured: the user's cache, where it is written down who was told what, is read-only.
    """
    while True:
        port = random.SystemRandom().choice(_FREE_RANGE)
        if port not in besides and _claimed(port) and not port_taken(port):
            return port


def _claimed(port: int) -> bool:
    """Whether nobody of this user was told this port, and so it is this caller's."""
    folder = default_cache() / "ports"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        claim = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        sentence = f"{folder} cannot be written: set XDG_CACHE_HOME to a folder that can be."
        raise Misconfigured(sentence) from error
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        return False
    _claims.append(claim)
    return True


def ports_of(settings: Settings) -> frozenset[int]:
    """Every port of this machine that the settings name."""
    servers = settings.kafka, settings.clickhouse, settings.collector, settings.api
    return frozenset(server.port for server in servers)


def port_taken(port: int) -> bool:
    """Whether listening on this port of the loopback interface would fail."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def listen(host: str, port: int, variable: str) -> socket.socket:
    """
    A socket that is bound to this port of *host*, for a server to listen on.

    Args:
        variable: the setting that names the port.

    Raises:
        Misconfigured: the port cannot be used, with what to change.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise Misconfigured(taken_port_sentence(port, variable)) from error
        raise Misconfigured(
            f"Port {port} of {host} cannot be used ({error.strerror}): {variable} names another."
        ) from error
    return listening


def port_holder(port: int) -> str | None:
    """`java (pid 4711)` for the process that listens there, if this user may see it."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # closed meanwhile, or another user's
            if os.readlink(descriptor) in sockets:
                process = descriptor.parents[1]
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def taken_port_sentence(port: int, variable: str) -> str:
    """Who has the port and what to do about it, for the operator."""
    holder = port_holder(port) or "another process"
    return f"Port {port} is taken by {holder}: stop it, or set {variable} to another port."


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
