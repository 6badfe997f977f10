"""What an application takes on with the SDK."""

from __future__ import annotations

import json
import subprocess
import sys

_TELL = """
import sys, json
import customeros.sdk
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_the_sdk_needs_four_packages_and_no_more() -> None:
    """Neither the runtime's settings and logs nor a web server come with it."""
    told = subprocess.check_output([sys.executable, "-c", _TELL], text=True)

    loaded = set(json.loads(told))
    heavy = {"pydantic", "structlog", "prometheus_client", "starlette", "faust", "rich", "typer"}
    assert {"confluent_kafka", "fastavro", "msgspec", "phonenumbers"} <= loaded
    assert not loaded & heavy
