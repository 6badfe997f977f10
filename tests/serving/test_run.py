"""The process: from topics to answers, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from customeros.runtime.ending import EXIT_CRASHED
from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import Api, Settings
from customeros.schemas.topics import ACCOUNT_STATE, ASSIGNMENTS, CHANGES, CUSTOMER_STATE, LINKS
from customeros.serving import run_api
from support import samples
from support.customers import a_state, create_topic, own_id, produce, state_record
from support.ports import free_port
from support.servers import process
from support.waiting import until

pytestmark = pytest.mark.integration

_RUN = "from customeros.runtime.settings import read_settings\n" + (
    "from customeros.serving import run_api\nraise SystemExit(run_api(read_settings()))"
)
_FULL = f"""\
from customeros.serving.kept import Kept

def full(*_, **__):
    raise OSError("disk full")

Kept.update = full
{_RUN}"""
_HANGING = f"""\
from threading import Event
from customeros.serving.kept import Kept

update = Kept.update

def hang(kept, values):
    if b"hang" in b"".join(values.values()):
        Event().wait()
    update(kept, values)

Kept.update = hang
{_RUN}"""
_TOKEN = "tok_test"  # noqa: S105 - of a test


class Running(NamedTuple):
    url: str
    process: Any

    def get(self, path: str) -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own
            self.url + path, headers={"Authorization": f"Bearer {_TOKEN}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, None

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200


@pytest.fixture
def env(kafka_bootstrap: str, unique: str, tmp_path: Path) -> dict[str, str]:
    """Ada is known before the start; ClickHouse is not there."""
    for topic in (ASSIGNMENTS, CUSTOMER_STATE, LINKS, CHANGES, ACCOUNT_STATE):
        create_topic(kafka_bootstrap, unique + topic.name)
    produce(kafka_bootstrap, unique + CUSTOMER_STATE.name, [state_record(samples.STATE)])
    return {
        "CUSTOMEROS_HOME": str(tmp_path),
        "CUSTOMEROS_KAFKA__BOOTSTRAP": kafka_bootstrap,
        "CUSTOMEROS_KAFKA__TOPIC_PREFIX": unique,
        "CUSTOMEROS_CLICKHOUSE__PORT": str(free_port()),
        "CUSTOMEROS_API__PORT": str(free_port()),
        "CUSTOMEROS_SECRETS__API_TOKEN": _TOKEN,
    }


@pytest.fixture
def api(env: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    with process([sys.executable, "-c", _RUN], env=env, log=tmp_path / "api.log") as child:
        running = Running(f"http://127.0.0.1:{env['CUSTOMEROS_API__PORT']}", child)
        until(running.ready, seconds=180, what="the API")
        yield running


def test_it_answers_what_the_topics_say_and_ends_when_told(
    api: Running, kafka_bootstrap: str, unique: str, tmp_path: Path
) -> None:
    """Also without ClickHouse, events excepted; nobody's identifier is in its log."""
    path = f"/v1/customers/{samples.ADA}"
    assert api.get(path)[1]["traits"]["name"]["value"] == "Ada Lovelace"
    assert api.get(f"{path}/events")[0] == 503
    assert api.get("/v1/customers/email:bob@example.com")[0] == 404

    bob = a_state(own_id("user_id", "bob"))
    produce(kafka_bootstrap, unique + CUSTOMER_STATE.name, [state_record(bob)])
    until(lambda: api.get(f"/v1/customers/{bob.customer_id}")[0] == 200, what="Bob")

    api.process.send_signal(signal.SIGTERM)
    assert api.process.wait(20) == 0
    log = (tmp_path / "api.log").read_text()
    assert "bob@example.com" not in log
    assert samples.ADA not in log


def test_a_copy_that_cannot_be_kept_up_ends_it_to_be_started_again(
    env: dict[str, str], tmp_path: Path
) -> None:
    """By a code of which a supervisor knows that it crashed; no stale answer is given."""
    log = tmp_path / "api.log"
    with process([sys.executable, "-c", _FULL], env=env, log=log) as child:
        assert child.wait(120) == EXIT_CRASHED
    assert "disk full" in log.read_text()


def test_a_copy_that_stands_still_is_told_of_and_ends_it_to_be_started_again(
    env: dict[str, str], kafka_bootstrap: str, unique: str, tmp_path: Path
) -> None:
    """The other copies get on meanwhile, so it is watched by itself."""
    log = tmp_path / "api.log"
    env |= {"CUSTOMEROS_WORKER__STALL_SECONDS": "12"}
    with process([sys.executable, "-c", _HANGING], env=env, log=log) as child:
        running = Running(f"http://127.0.0.1:{env['CUSTOMEROS_API__PORT']}", child)
        until(running.ready, seconds=180, what="the API")
        hanging = a_state(own_id("user_id", "bob"), digest="hang")
        produce(kafka_bootstrap, unique + CUSTOMER_STATE.name, [state_record(hanging)])
        until(lambda: running.get("/readyz")[0] == 503, seconds=60, what="it says so")
        said = running.get("/readyz")[1]
        assert child.wait(120) == EXIT_CRASHED

    assert said["reason"].startswith("customer-state stands still for ")
    assert [name for name, well in said.items() if well is False] == ["ready", "customer-state"]
    assert "process_stuck" in log.read_text()


def test_a_port_that_is_taken_is_told_with_its_setting(api: Running, tmp_path: Path) -> None:
    """Before anything is started."""
    port = int(api.url.rpartition(":")[2])

    with pytest.raises(Misconfigured, match="CUSTOMEROS_API__PORT"):
        run_api(Settings(home=tmp_path, api=Api(port=port)))
