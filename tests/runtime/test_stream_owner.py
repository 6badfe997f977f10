"""What an owner takes is committed together, once, and acknowledged only then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from customeros.runtime.progress import Progress
from customeros.runtime.settings import Worker
from customeros.runtime.stream.faust_batches import Delivery
from customeros.runtime.stream.fold import PartitionFold, Sealed
from customeros.runtime.stream.memory import Stored
from customeros.runtime.stream.owner import Opened, Owner
from customeros.runtime.stream.store import DictStore
from customeros.schemas.topics import Topic
from support.counting import COUNTED, LEFT, RIGHT, STAGE, Counting

# Longer than any test: whoever waits for it waits in vain.
_NEVER_SECONDS = 3_600.0


class Committed:
    """In a broker's place: what each transaction brought."""

    def __init__(self) -> None:
        self.outputs: list[int] = []

    def commit(self, sealed: Sealed) -> int:
        self.outputs.append(sum(output.topic == COUNTED for output in sealed.outputs))
        return len(self.outputs)


def records(*offsets: int) -> list[Stored]:
    return [Stored(offset, b"default/k", b"1", 1_700_000_000_000) for offset in offsets]


def owned(
    work: Callable[[Owner, Committed], Awaitable[None]], *, commit_seconds: float = _NEVER_SECONDS
) -> list[int]:
    """How many outputs each transaction had, while *work* was done by an owner's side."""
    committed, store = Committed(), DictStore()

    def opened() -> Opened:
        fold = PartitionFold(Counting(), 0, store)
        return Opened(cast(Any, committed), cast(Any, store), fold, "")

    async def run() -> None:
        worker = Worker(commit_seconds=commit_seconds)
        owner = Owner(Progress(STAGE, _NEVER_SECONDS), worker, 0, opened, opened())
        committing = asyncio.create_task(owner.commit_always())
        await work(owner, committed)
        committing.cancel()

    asyncio.run(run())
    return committed.outputs


def take(owner: Owner, acknowledged: list[int], topic: Topic, delivery: Delivery) -> None:
    async def acknowledge() -> None:
        acknowledged.append(delivery.records[-1].offset)

    owner.take(topic, delivery, generation=1, acknowledge=acknowledge)


def numbered(*offsets: int, after: int | None = None, more: bool = False) -> Delivery:
    found: Sequence[Stored] = records(*offsets)
    return Delivery(found, after, more)


def test_what_one_answer_of_the_broker_brought_is_one_transaction() -> None:
    """Its topics come one by one; the first alone would leave the others to the next commit."""
    acknowledged: list[int] = []

    async def work(owner: Owner, committed: Committed) -> None:
        take(owner, acknowledged, LEFT, numbered(0, 1, more=True))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not committed.outputs
        take(owner, acknowledged, RIGHT, numbered(7))
        async with asyncio.timeout(_NEVER_SECONDS):
            while len(acknowledged) < 2:
                await asyncio.sleep(0)

    assert owned(work) == [3]
    assert acknowledged == [1, 7]


def test_what_waits_for_more_is_committed_when_the_partition_is_left() -> None:
    """As where a rebalance keeps the rest of an answer from coming."""
    acknowledged: list[int] = []

    async def work(owner: Owner, _: Committed) -> None:
        take(owner, acknowledged, LEFT, numbered(0, more=True))
        await owner.drain()

    assert owned(work) == [1]
    assert acknowledged == [0]


def test_a_full_hand_is_committed_though_more_follows() -> None:
    """Or nobody would ever make room for what follows."""
    acknowledged: list[int] = []

    async def work(owner: Owner, _: Committed) -> None:
        take(owner, acknowledged, LEFT, numbered(*range(8_000), more=True))
        await owner.room()

    assert owned(work) == [8_000]
    assert acknowledged == [7_999]


def test_the_second_commit_waits_until_it_is_due() -> None:
    acknowledged: list[int] = []

    async def work(owner: Owner, committed: Committed) -> None:
        take(owner, acknowledged, LEFT, numbered(0))
        while not acknowledged:
            await asyncio.sleep(0)
        take(owner, acknowledged, LEFT, numbered(1, after=0))
        take(owner, acknowledged, LEFT, numbered(2, after=1))
        for _ in range(10):
            await asyncio.sleep(0)
        assert committed.outputs == [1]
        await owner.drain()

    assert owned(work) == [1, 2]
    assert acknowledged == [0, 1, 2]
