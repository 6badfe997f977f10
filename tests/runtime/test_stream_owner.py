"""What an owner takes is committed together, once, and acknowledged only then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

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


class Hands:
    """In a broker's place: what it gave, what each transaction brought, what is acknowledged."""

    def __init__(self) -> None:
        self.outputs: list[int] = []
        self.acknowledged: list[int] = []

    def commit(self, sealed: Sealed) -> int:
        self.outputs.append(sum(output.topic == COUNTED for output in sealed.outputs))
        return len(self.outputs)

    def give(
        self,
        owner: Owner,
        topic: Topic,
        *offsets: int,
        after: int | None = None,
        more: bool = False,
        value: bytes = b"1",
    ) -> None:
        """A delivery of records at these offsets."""

        async def acknowledge() -> None:
            self.acknowledged.append(offsets[-1])

        records = [Stored(offset, b"default/k", value, 1_700_000_000_000) for offset in offsets]
        delivery = Delivery(records, after, more)
        owner.take(topic, delivery, generation=1, acknowledge=acknowledge)


def owned(
    work: Callable[[Owner, Hands], Awaitable[None]], *, commit_seconds: float = _NEVER_SECONDS
) -> Hands:
    """What was there once *work* was done beside an owner who commits."""
    hands, store = Hands(), DictStore()

    def opened() -> Opened:
        fold = PartitionFold(Counting(), 0, store)
        return Opened(cast(Any, hands), cast(Any, store), fold, "")

    async def run() -> None:
        worker = Worker(commit_seconds=commit_seconds)
        owner = Owner(Progress(STAGE, _NEVER_SECONDS), worker, 0, opened, opened())
        committing = asyncio.create_task(owner.commit_always())
        await work(owner, hands)
        committing.cancel()

    asyncio.run(run())
    return hands


@pytest.fixture(autouse=True)
def small_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten small records fill one."""
    monkeypatch.setattr("customeros.runtime.stream.owner._RECORD_BYTES", 99)
    monkeypatch.setattr("customeros.runtime.stream.owner._HAND_BYTES", 1_000)


async def others_had_their_turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_one_answer_of_the_broker_brought_is_one_transaction() -> None:
    """Its topics come one by one; the first alone would leave the others to the next commit."""

    async def work(owner: Owner, hands: Hands) -> None:
        hands.give(owner, LEFT, 0, 1, more=True)
        await others_had_their_turn()
        assert not hands.outputs
        hands.give(owner, RIGHT, 7)
        while len(hands.acknowledged) < 2:
            await asyncio.sleep(0)

    hands = owned(work)

    assert hands.outputs == [3]
    assert hands.acknowledged == [1, 7]


def test_what_waits_for_more_is_committed_when_the_partition_is_left() -> None:
    """As where a rebalance keeps the rest of an answer from coming."""

    async def work(owner: Owner, hands: Hands) -> None:
        hands.give(owner, LEFT, 0, more=True)
        await owner.drain()

    hands = owned(work)

    assert hands.outputs == [1]
    assert hands.acknowledged == [0]


def test_who_is_behind_goes_on_gathering_after_a_commit_was_due() -> None:
    """The first commit is due from the beginning, the second is not."""

    async def work(owner: Owner, hands: Hands) -> None:
        hands.give(owner, LEFT, 0, more=True)
        await others_had_their_turn()
        hands.give(owner, LEFT, 1, after=0, more=True)
        await others_had_their_turn()
        assert not hands.outputs
        hands.give(owner, LEFT, *range(2, 20), after=1, more=True)
        await owner.room()
        hands.give(owner, LEFT, 20, after=19, more=True)
        await others_had_their_turn()
        assert hands.outputs == [20]
        hands.give(owner, LEFT, *range(21, 30), after=20, more=True)
        await owner.room()
        while len(hands.acknowledged) < 5:
            await asyncio.sleep(0)

    hands = owned(work)

    assert hands.outputs == [20, 10]


def test_more_that_never_comes_is_not_waited_for_for_ever() -> None:
    """Offsets at the broker may be of transactions that were aborted."""

    async def work(owner: Owner, hands: Hands) -> None:
        hands.give(owner, LEFT, 0, more=True)
        while not hands.acknowledged:
            await asyncio.sleep(0)

    assert owned(work, commit_seconds=0.001).outputs == [1]


def test_a_full_hand_is_committed_though_more_follows() -> None:
    """Or nobody would ever make room for what follows."""

    async def work(owner: Owner, hands: Hands) -> None:
        hands.give(owner, LEFT, *range(20), more=True)
        await owner.room()

    hands = owned(work)

    assert hands.outputs == [20]
    assert hands.acknowledged == [19]


def test_large_records_fill_a_hand_sooner() -> None:
    async def work(owner: Owner, hands: Hands) -> None:
        hands.give(owner, LEFT, 0, more=True, value=b" " * 800 + b"1")
        await others_had_their_turn()
        assert not hands.outputs
        hands.give(owner, LEFT, 1, after=0, more=True)
        while len(hands.acknowledged) < 2:
            await asyncio.sleep(0)

    assert owned(work).outputs == [2]


def test_the_second_commit_waits_until_it_is_due() -> None:
    async def work(owner: Owner, hands: Hands) -> None:
        hands.give(owner, LEFT, 0)
        while not hands.acknowledged:
            await asyncio.sleep(0)
        hands.give(owner, LEFT, 1, after=0)
        hands.give(owner, LEFT, 2, after=1)
        await others_had_their_turn()
        assert hands.outputs == [1]
        await owner.drain()

    hands = owned(work)

    assert hands.outputs == [1, 2]
    assert hands.acknowledged == [0, 1, 2]
