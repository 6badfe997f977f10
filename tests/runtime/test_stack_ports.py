"""Ports for servers that do not listen yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from customeros.runtime.errors import Misconfigured
from customeros.runtime.settings import Api, Collector, Settings
from customeros.runtime.stack import ports
from support.ports import few_ports

# So few that chance alone would soon give one of them twice.
_FEW = range(31_000, 31_060)


@pytest.fixture(autouse=True)
def few() -> Iterator[None]:
    with few_ports(_FEW):
        yield


def test_no_port_is_told_twice() -> None:
    """Or the server that got it would answer for the other, which seems to be in service."""
    told = [ports.free_port() for _ in range(30)]

    assert len(set(told)) == 30


def test_no_port_is_told_to_two_processes() -> None:
    """Each says where it will listen minutes before it does."""
    code = f"""
from customeros.runtime.stack import ports
ports._FREE_RANGE = range({_FEW.start}, {_FEW.stop})
print(*(ports.free_port() for _ in range(30)), flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        ours = {ports.free_port() for _ in range(20)}
        other.communicate("\n")

    assert len(theirs) == 30
    assert theirs.isdisjoint(ours)
    assert theirs & {ports.free_port() for _ in range(20)}, "what it held is free when it ends"


def test_a_port_that_the_settings_name_is_nobody_elses() -> None:
    """It is free until its own server listens."""
    settings = Settings(collector=Collector(port=_FEW[0]), api=Api(port=_FEW[1]))

    named = ports.ports_of(settings)

    assert named == {9092, 8123, _FEW[0], _FEW[1]}
    few_left = named | set(_FEW[10:])
    assert named.isdisjoint(ports.free_port(few_left) for _ in range(6))


def test_a_cache_that_cannot_be_written_is_told_with_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(Misconfigured, match="set XDG_CACHE_HOME"):
        ports.free_port()
