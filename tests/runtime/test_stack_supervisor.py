"""The supervisor keeps processes up, leaves no orphan, and says what is in the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.runtime.settings import ClickHouse, Kafka, Settings
from customeros.runtime.stack import processes, runfile
from customeros.runtime.stack.board import line
from customeros.runtime.stack.keeping import backoff_seconds, startable, stoppable
from customeros.runtime.stack.ports import port_holder, port_taken
from customeros.runtime.stack.processes import (
    Spec,
    answers,
    bound_log,
    embedded_specs,
    says_anything,
    tail,
    trouble,
)
from customeros.runtime.stack.pulse import Pulse
from customeros.runtime.stack.runfile import ProcessState, read_run
from customeros.runtime.stack.supervisor import status
from support import tiny_stack
from support.ports import free_port
from support.servers import process
from support.waiting import until

_CHAIN = [
    Spec("a", ()),
    Spec("b", (), after=("a",)),
    Spec("c", (), after=("a", "b")),
    Spec("d", ()),
]


def test_a_process_starts_when_all_that_it_needs_is_ready() -> None:
    """And not a moment before."""
    assert [spec.name for spec in startable(_CHAIN, dict.fromkeys("abcd", "waiting"))] == ["a", "d"]
    ready_a = {"a": "ready", "b": "waiting", "c": "waiting", "d": "starting"}
    assert [spec.name for spec in startable(_CHAIN, ready_a)] == ["b"]  # type: ignore[arg-type]


def test_a_process_stops_when_nobody_alive_needs_it() -> None:
    """The opposite order, whoever died meanwhile."""
    assert [spec.name for spec in stoppable(_CHAIN, "abcd")] == ["c", "d"]
    assert [spec.name for spec in stoppable(_CHAIN, "ab")] == ["b"]
    assert [spec.name for spec in stoppable(_CHAIN, "a")] == ["a"]


@given(st.sets(st.sampled_from("abcd"), min_size=1))
def test_something_can_always_be_stopped(alive: set[str]) -> None:
    """So stopping ends."""
    assert stoppable(_CHAIN, alive)


@given(st.integers(0, 10_000))
def test_restarts_come_later_and_later_but_never_later_than_15_s(deaths: int) -> None:
    """The first comes at once."""
    assert backoff_seconds(1) == 0
    assert backoff_seconds(deaths) <= backoff_seconds(deaths + 1) <= 15


def test_a_child_reads_the_settings_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """`environment` undoes reading the environment, secrets included."""
    settings = Settings(
        home=Path("/elsewhere"),
        config=Path("/elsewhere/customeros.toml"),
        kafka=Kafka(port=19092, topic_prefix="blue."),
        clickhouse=ClickHouse.model_validate({"password": "s3cret", "flush_seconds": 0.5}),
    )

    for name, value in processes.environment(settings).items():
        monkeypatch.setenv(name, value)

    assert Settings() == settings


def test_what_runs_elsewhere_is_not_embedded() -> None:
    """A broker or server of one's own takes the embedded one's place."""
    elsewhere = Settings(kafka=Kafka(bootstrap="broker:9092"))

    assert [spec.name for spec in embedded_specs(Settings())] == ["kafka", "clickhouse"]
    assert [spec.name for spec in embedded_specs(elsewhere)] == ["clickhouse"]


def test_a_long_log_is_cut_and_its_end_kept_aside(tmp_path: Path) -> None:
    """A process that appends to it goes on in the emptied file."""
    log = tmp_path / "x.log"
    with log.open("ab") as writer:
        writer.write(b"old\n" * (3 << 20))
        writer.flush()
        bound_log(log)
        writer.write(b"new\n")

    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "x.log.1").stat().st_size == 12 << 20
    assert tail(log) == "new"
    assert tail(tmp_path / "absent.log") == ""


def test_a_line_names_the_process_its_state_and_port() -> None:
    """For people who watch."""
    text = line(ProcessState("kafka", "ready", pid=7, port=9092, restarts=2))

    assert text.split() == ["kafka", "ready", "port", "9092", "pid", "7", "restarts", "2"]


def test_a_check_that_nobody_answers_is_no_error() -> None:
    """Whatever its kind."""
    port = free_port()

    assert not any(answers(f"{kind}://127.0.0.1:{port}") for kind in ("http", "tcp", "kafka"))
    assert answers("")


def test_a_home_has_one_supervisor(tmp_path: Path) -> None:
    """And a lock that is let go leaves nothing to clean up."""
    first = runfile.take_home(tmp_path)
    assert first is not None
    assert runfile.take_home(tmp_path) is None

    first.close()

    assert not runfile.home_taken(tmp_path)


def _stack(home: Path, verb: str, *ports: int) -> list[str]:
    return [sys.executable, tiny_stack.__file__, str(home), verb, *map(str, ports)]


def _run(home: Path, verb: str, *ports: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _stack(home, verb, *ports), capture_output=True, text=True, timeout=180, check=False
    )


@contextmanager
def _up(home: Path, *ports: int, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    with process(_stack(home, "up", *ports), env=env, log=home / "up.log") as supervisor:
        until(lambda: status(Settings(home=home)).ready, what="all are ready", seconds=120)
        yield supervisor


def _states(home: Path) -> list[str]:
    run = read_run(home)
    return [process.state for process in run.processes] if run else []


def _pid(home: Path, index: int) -> int | None:
    run = read_run(home)
    return run.processes[index].pid if run else None


def test_what_is_killed_is_restarted(tmp_path: Path) -> None:
    """With a new pid, on the same port, and counted."""
    ports = free_port(), free_port()
    with _up(tmp_path, *ports):
        before = _pid(tmp_path, 1)
        assert before is not None
        os.kill(before, signal.SIGKILL)

        until(lambda: _pid(tmp_path, 1) not in {None, before}, what="a new process", seconds=60)
        until(lambda: status(Settings(home=tmp_path)).ready, what="all answer again", seconds=60)

        found = status(Settings(home=tmp_path)).processes
        assert [health.process.restarts for health in found] == [0, 1]
        assert answers(f"http://127.0.0.1:{ports[1]}/")


def test_what_is_frozen_is_ended_and_restarted(tmp_path: Path) -> None:
    """It lives, holds its port and would never end: nobody but the supervisor sees that."""
    ports = free_port(), free_port()
    with _up(tmp_path, *ports, TINY_PATIENCE_SECONDS="3"):
        frozen = _pid(tmp_path, 1)
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)

        until(lambda: _pid(tmp_path, 1) not in {None, frozen}, what="a new process", seconds=60)
        until(lambda: answers(f"http://127.0.0.1:{ports[1]}/"), what="it answers", seconds=60)

        assert status(Settings(home=tmp_path)).processes[1].process.restarts >= 1
    assert (
        "No answer for 3 s: the supervisor ends it."
        in (tmp_path / "logs" / "second.log").read_text()
    )


def test_only_silence_without_interruption_is_frozen() -> None:
    """One answer, and patience begins anew."""
    answered = [True, *[False] * 5, True, *[False] * 5]
    pulse = Pulse(lambda _: answered.pop(0), patience_seconds=60)
    while answered:
        pulse.ask()
        assert not pulse.frozen

    answered.append(False)
    pulse.ask()

    assert pulse.frozen


def test_a_refusal_is_an_answer_and_silence_is_none(tmp_path: Path) -> None:
    """Not at work is not frozen; a port that is held but not served is silent."""
    port = free_port()
    directory = f"http://127.0.0.1:{port}/"
    serving = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with process(serving, env={}, log=tmp_path / "log") as server:
        until(lambda: answers(directory), what="it serves")
        assert says_anything(f"{directory}nothing-here", 10)
        server.send_signal(signal.SIGSTOP)
        assert not says_anything(directory, 0.2)
        assert not says_anything(f"kafka://127.0.0.1:{port}", 0.2)
        server.send_signal(signal.SIGCONT)


def test_a_refusal_that_breaks_off_is_a_refusal() -> None:
    """It raises nothing: the supervisor is not to end of what a busy process does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        refuses = b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n"

        def answer(text: bytes) -> None:
            connection, _ = listening.accept()
            connection.recv(4_096)
            connection.sendall(text)
            kept.append(connection)

        kept: list[socket.socket] = []
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        for text, said in ((refuses, "is not ready"), (b"what?\r\n\r\n", "does not answer")):
            speaker = threading.Thread(target=answer, args=(text,))
            speaker.start()
            assert trouble(url, seconds=0.5) == said
            speaker.join()
        for connection in kept:
            connection.close()


def test_sigterm_stops_everything_in_order(tmp_path: Path) -> None:
    """The exit code says that it was asked for."""
    ports = free_port(), free_port()
    with _up(tmp_path, *ports) as supervisor:
        supervisor.terminate()

        assert supervisor.wait(60) == 0

    assert _states(tmp_path) == ["stopped", "stopped"]
    assert not any(map(port_taken, ports))
    shown = (tmp_path / "up.log").read_text()
    assert shown.index("second       stopping") < shown.index("first        stopping")


def test_kill_9_of_the_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    """Every port is free again, and the next `up` starts as if nothing had been."""
    ports = free_port(), free_port()
    with _up(tmp_path, *ports) as supervisor:
        supervisor.kill()
        supervisor.wait()

        until(lambda: not any(map(port_taken, ports)), what="the ports are free")

    assert not status(Settings(home=tmp_path)).running
    with _up(tmp_path, *ports):
        assert status(Settings(home=tmp_path)).ready


def test_detached_it_returns_when_all_is_ready_and_down_stops_it(tmp_path: Path) -> None:
    """A second `up` says that it is running already; a second `down` that nothing is."""
    ports = free_port(), free_port()

    started = _run(tmp_path, "detach", *ports)
    try:
        assert (started.returncode, started.stderr) == (0, "")
        assert status(Settings(home=tmp_path)).ready
        again = _run(tmp_path, "detach", *ports)
        assert again.returncode == 0
        assert "Already running" in again.stdout
    finally:
        stopped = _run(tmp_path, "down")

    assert (stopped.returncode, stopped.stdout) == (0, "Stopped; the data stay.\n")
    assert not any(map(port_taken, ports))
    assert "Nothing runs" in _run(tmp_path, "down").stdout


def test_only_what_is_to_be_another_is_replaced(tmp_path: Path) -> None:
    """In order, and not counted as a restart; what was not started comes too."""
    first, second, third, fourth = (free_port() for _ in range(4))
    with _up(tmp_path, first, second):
        stays = _pid(tmp_path, 0)
        draft = tmp_path / "ports.draft"
        draft.write_text(f"{first} {third} {fourth}")
        draft.replace(tmp_path / "ports")

        def others() -> bool:
            found = [health.process.port for health in status(Settings(home=tmp_path)).processes]
            return found == [first, third, fourth] and status(Settings(home=tmp_path)).ready

        until(others, what="the others answer", seconds=60)

        assert _pid(tmp_path, 0) == stays
        assert not port_taken(second)
        found = status(Settings(home=tmp_path)).processes
        assert [health.process.restarts for health in found] == [0, 0, 0]


@pytest.mark.parametrize("verb", ["up", "detach"])
def test_what_cannot_be_started_ends_the_start_with_its_last_words(
    tmp_path: Path, verb: str
) -> None:
    """Said once, however often it was tried; and what had been started is stopped."""
    port = free_port()

    failed = _run(tmp_path, verb, port, 0)

    assert failed.returncode == 1
    assert "second could not be started" in failed.stderr
    assert failed.stderr.count("no such thing as a free port") == 1
    assert not port_taken(port)
    assert not status(Settings(home=tmp_path)).running


def test_a_taken_port_is_named_with_its_holder_and_the_setting(tmp_path: Path) -> None:
    """So that the reader knows which of the two to change."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        refused = _run(tmp_path, "up", port)

        assert port_holder(port) is not None
    assert refused.returncode == 2
    assert f"Port {port} is taken by " in refused.stderr
    assert f"(pid {os.getpid()})" in refused.stderr
    assert "TINY_FIRST_PORT" in refused.stderr


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After its time to stop."""
    port = free_port()
    spec = tiny_stack.tiny_spec("stubborn", port, stubborn=True)
    child = processes.spawn(spec, tmp_path / "stubborn.log")
    until(lambda: answers(spec.ready), what="it answers")

    child.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)

    child.kill()
    assert child.wait(60) == -signal.SIGKILL
