"""What is under way is counted, and a collector that cannot acknowledge any more ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from customeros.connectors.publisher import KafkaPublisher
from customeros.connectors.room import Allowance, Overloaded
from customeros.runtime.settings import LOOPBACK
from support.collecting import kafka_settings
from support.ports import free_port


def test_an_allowance_is_never_exceeded() -> None:
    allowance = Allowance(10)
    allowance.take(4)
    allowance.take(6)

    with pytest.raises(Overloaded):
        allowance.take(1)
    allowance.give_back(6)
    allowance.take(5)

    assert allowance.taken == 9


def test_a_publisher_that_looks_for_no_broker_any_more_ends_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody would ever be acknowledged again; the supervisor starts it anew."""
    signals: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: signals.append(number))
    publisher = KafkaPublisher(kafka_settings(f"{LOOPBACK}:{free_port()}", ""), Allowance(10))

    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(publisher, "_found", broken)

    async def scenario() -> None:
        await publisher.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not publisher.ready
        await publisher.close()

    asyncio.run(scenario())

    assert signals == [signal.SIGTERM]


def test_every_reason_and_code_is_documented() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "collector.md").read_text()
    sources = (root / "connectors/customeros/connectors").rglob("*.py")
    pattern = r'(?:Refused|Malformed|refusal|_object)\(\s*(?:\d+, |call\.\w+, )?"(\w+)"'
    codes = {code for path in sources for code in re.findall(pattern, path.read_text())}

    assert {"too_large", "unknown_write_key", "bad_traits", "no_batch"} <= codes
    assert {code for code in codes if f"`{code}`" not in text} == set()
