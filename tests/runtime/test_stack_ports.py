"""Ports for servers that do not listen yet."""

from __future__ import annotations

import pytest

from customeros.runtime.settings import Api, Collector, Settings
from customeros.runtime.stack import ports

# So few that chance alone would soon give one of them twice.
_FEW = range(31_000, 31_060)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FREE_RANGE", _FEW)
    monkeypatch.setattr(ports, "_told", set())


def test_no_port_is_told_twice() -> None:
    """Or the server that got it would answer for the other, which seems to be in service."""
    told = [ports.free_port() for _ in range(30)]

    assert len(set(told)) == 30


def test_a_port_that_the_settings_name_is_nobody_elses() -> None:
    """It is free until its own server listens."""
    settings = Settings(collector=Collector(port=_FEW[0]), api=Api(port=_FEW[1]))

    named = ports.ports_of(settings)

    assert named == {9092, 8123, _FEW[0], _FEW[1]}
    few_left = named | set(_FEW[10:])
    assert named.isdisjoint(ports.free_port(few_left) for _ in range(6))
