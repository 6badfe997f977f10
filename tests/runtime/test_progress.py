"""What stands still is told of and ended; what is slow, idle, paused or waiting is not."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.metrics import PROGRESS_AGE, serve_metrics
from customeros.runtime.progress import Progress, Standing, Watch, judge
from customeros.runtime.settings import Metrics, Worker
from customeros.runtime.stack.processes import trouble
from support.ports import free_port
from support.waiting import until

PATIENCE = 60.0


class Watched:
    """A process whose records wait, watched every 5 s, and whether it was given up."""

    def __init__(self, waits: Callable[[], bool] = lambda: True) -> None:
        self.waits = waits
        self.progress = Progress("counting", PATIENCE)
        self.progress.starting = ""
        self.stirred = 0
        self.given_up = False
        self._watch = Watch(
            self.progress,
            waits=self._waits,
            stirred=lambda: self.stirred,
            give_up=self._give_up,
        )

    def look(self, seconds: float, do: Callable[[], object] = lambda: None) -> None:
        for _ in range(int(seconds / 5)):
            do()
            self._watch.look(5.0)

    def _waits(self) -> bool:
        return self.waits()

    def _give_up(self, _: Progress) -> None:
        self.given_up = True


def away() -> bool:
    raise Unavailable("kafka")


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.floats(0, 10)), max_size=50),
)
def test_only_time_in_which_work_waited_and_nothing_was_done_counts(
    looks: list[tuple[int, bool, float]],
) -> None:
    standing, expected = Standing(), 0.0
    for sign, waits, elapsed in looks:
        expected = expected + elapsed if waits and sign == standing.sign else 0.0
        standing = judge(standing, sign, waits=waits, elapsed=elapsed)
        assert standing == Standing(sign, expected)


def test_a_process_that_does_nothing_while_records_wait_is_given_up_after_its_patience() -> None:
    watched = Watched()
    watched.look(PATIENCE)
    before = watched.given_up
    watched.look(5)
    assert (before, watched.given_up) == (False, True)


def test_it_is_told_of_before_it_is_given_up() -> None:
    watched = Watched()
    watched.look(30)
    assert watched.progress.trouble == "stands still for 25 s while records wait"
    assert PROGRESS_AGE.labels("counting")._value.get() == 25
    watched.look(5, watched.progress.moved)
    assert watched.progress.trouble == ""
    assert PROGRESS_AGE.labels("counting")._value.get() == 0


def test_a_slow_job_is_left_alone() -> None:
    """Something was done in each minute, be it within one piece of work."""
    watched = Watched()
    for _ in range(10):
        watched.look(PATIENCE - 5)
        watched.progress.moved()
        watched.look(PATIENCE - 5)
        watched.stirred += 1
    assert not watched.given_up


def test_an_idle_process_is_left_alone() -> None:
    watched = Watched(lambda: False)
    watched.look(10 * PATIENCE)
    assert not watched.given_up
    assert watched.progress.trouble == ""


def test_a_process_whose_broker_is_away_waits_and_is_left_alone() -> None:
    watched = Watched(away)
    watched.look(10 * PATIENCE)
    assert watched.progress.trouble == "waits for kafka"
    watched.waits = lambda: True
    watched.look(PATIENCE - 5)
    # Its time begins when the broker is back.
    before = watched.given_up
    watched.look(10)
    assert (before, watched.given_up) == (False, True)


def test_a_process_that_says_what_it_waits_for_is_left_alone() -> None:
    watched = Watched()
    watched.progress.waits_for("clickhouse", away=True)
    watched.look(10 * PATIENCE)
    assert watched.progress.trouble == "waits for clickhouse"
    assert not watched.given_up


def test_the_broker_is_asked_only_when_nothing_was_done() -> None:
    watched = Watched(lambda: pytest.fail("asked"))
    watched.look(PATIENCE, watched.progress.moved)


def test_an_event_loop_that_does_not_turn_stands_still_whatever_waits() -> None:
    loop = asyncio.new_event_loop()
    progress = Progress("counting", PATIENCE)
    given_up: list[Progress] = []
    watch = Watch(progress, waits=lambda: False, loop=loop, give_up=given_up.append)
    for _ in range(10):
        watch.look(PATIENCE / 2)
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert not given_up
    for _ in range(4):
        watch.look(PATIENCE / 2)
    loop.close()
    assert given_up


def test_patience_is_several_sessions_unless_it_is_said() -> None:
    assert Worker(session_seconds=10).patience_seconds == 60
    assert Worker(session_seconds=10, stall_seconds=7).patience_seconds == 7


def test_a_metrics_port_that_is_taken_is_told_with_what_to_change() -> None:
    port = free_port()
    serve_metrics(Metrics(port=port), trouble=str)

    with pytest.raises(Misconfigured, match=f"Port {port} is taken by .*CUSTOMEROS_METRICS__PORT"):
        serve_metrics(Metrics(port=port), trouble=str)


def test_readyz_says_why_a_process_is_not_at_work() -> None:
    port, progress = free_port(), Progress("counting", PATIENCE)
    serve_metrics(Metrics(port=port), trouble=lambda: progress.trouble)

    def ask(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    progress.starting = "joins its group"
    status, body = ask("/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "reason": "joins its group"})
    assert trouble(f"http://127.0.0.1:{port}/readyz") == "joins its group", "as status says it"
    assert trouble(f"http://127.0.0.1:{free_port()}/readyz") == "does not answer"
    progress.starting = ""
    assert ask("/readyz") == (200, '{"ready": true}')
    assert trouble(f"http://127.0.0.1:{port}/readyz") == ""
    assert ask("/healthz")[0] == 200
    assert "customeros_progress_age_seconds" in ask("/metrics")[1]


def test_nothing_is_said_of_who_asks_and_does_not_wait_for_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port, asking = free_port(), socket.socket()

    def go_away() -> str:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        asking.close()
        return ""

    serve_metrics(Metrics(port=port), trouble=go_away)
    asking.connect(("127.0.0.1", port))
    asking.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
    until(lambda: asking.fileno() < 0, what="the answer is under way")
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(30)

    assert capsys.readouterr().err == ""
