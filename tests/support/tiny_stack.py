"""A stack of tiny HTTP servers, to be killed: `python tiny_stack.py HOME up|detach|down PORT…`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import LOOPBACK, Settings
from customeros.runtime.stack.processes import Spec
from customeros.runtime.stack.supervisor import down, up

_SERVER = (
    "import sys; from http.server import *; HTTPServer(('127.0.0.1', {port}), S).serve_forever()"
)
_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def tiny_spec(name: str, port: int, *, after: tuple[str, ...] = (), stubborn: bool = False) -> Spec:
    """A server that is ready when it answers; a stubborn one ignores SIGTERM."""
    code = (_STUBBORN if stubborn else "") + _SERVER.format(port=port).replace(
        ", S)", ", SimpleHTTPRequestHandler)"
    )
    return Spec(
        name=name,
        argv=(sys.executable, "-c", code),
        ready=f"http://{LOOPBACK}:{port}/",
        after=after,
        port=port,
        port_setting=f"TINY_{name.upper()}_PORT",
        stop_seconds=1.0,
        patience_seconds=float(os.environ.get("TINY_PATIENCE_SECONDS", "60")),
    )


def tiny_specs(ports: list[int]) -> list[Spec]:
    """`first`, then `second` after it, and so on; port 0 is a process that fails at once."""
    specs: list[Spec] = []
    for name, port in zip(("first", "second", "third"), ports, strict=False):
        after = tuple(spec.name for spec in specs[-1:])
        if port:
            specs.append(tiny_spec(name, port, after=after))
        else:
            fails = (sys.executable, "-c", "import sys; sys.exit('no such thing as a free port')")
            specs.append(Spec(name=name, argv=fails, ready=f"tcp://{LOOPBACK}:1", after=after))
    return specs


def main(home: str, verb: str, *ports: str) -> int:
    """What the supervisor returns."""
    settings = Settings(home=Path(home))
    if verb == "down":
        return down(settings)
    wanted = Path(home) / "ports"

    def renewed() -> list[Spec] | None:
        """Once the file is there, what it says."""
        if not wanted.exists():
            return None
        said = wanted.read_text().split()
        wanted.unlink()
        return tiny_specs([int(port) for port in said])

    specs = tiny_specs([int(port) for port in ports])
    try:
        return up(settings, specs, detach=verb == "detach", renewed=renewed)
    except Misconfigured as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
