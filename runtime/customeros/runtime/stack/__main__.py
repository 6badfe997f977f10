"""Run one embedded server in the foreground: `python -m customeros.runtime.stack kafka`."""

from __future__ import annotations

import sys

from customeros.runtime.errors import Misconfigured
from customeros.runtime.logs import configure_logs
from customeros.runtime.settings import read_settings


def main(arguments: list[str]) -> int:
    """The exit code: 0 stopped on request, 1 cannot run as configured, 2 not understood."""
    try:
        match arguments:
            case ["kafka"]:
                from customeros.runtime.stack.kafka import run_kafka

                run_kafka(read_settings())
            case ["clickhouse"]:
                from customeros.runtime.stack.clickhouse.server import run_clickhouse

                settings = read_settings()
                configure_logs(settings.logs, process="clickhouse")
                return run_clickhouse(settings)
            case ["lock"]:
                from customeros.runtime.stack.jars import resolve_lock

                print(resolve_lock(), end="")
                return 0
            case _:
                print(
                    "python -m customeros.runtime.stack kafka | clickhouse | lock", file=sys.stderr
                )
                return 2
    except Misconfigured as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
