"""The stage `state`: one record per change of a customer, and none without."""

from __future__ import annotations

from customeros.processors.profile.fold import fold
from customeros.processors.profile.model import (
    EMPTY,
    Change,
    Contribution,
    Fact,
    First,
    as_sent,
    encode_change,
)
from customeros.processors.streams.state import MERGED_MS, StateProcessor
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.identifier import Identifier, IdentifierKey, customer_id
from customeros.schemas.topics import CONTRIBUTIONS, topic_key
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC
from support.histories import ADA, NOON, WORKSPACE, an_event, an_order, key_of

MAIL = Identifier("email", "ada@example.com")


def own(identifier: Identifier) -> str:
    return customer_id(WORKSPACE, IdentifierKey(key_of(identifier)))


def brings(
    identifier: Identifier,
    customer: str,
    *amounts: int,
    version: int = 0,
    sequence: int = 1,
) -> Change:
    facts = [
        Fact(an_event(f"{identifier.type}{n}", order=an_order(amount, order_id=str(n))))
        for n, amount in enumerate(amounts)
    ]
    first, profile = First(NOON, "e", "web"), fold(EMPTY, facts)
    sent = as_sent(Contribution(identifier.type, identifier.value, first, NOON, {}, {}, profile))
    return Change(WORKSPACE, customer, key_of(identifier), 0, version, sequence, sent, None)


def leaves(
    identifier: Identifier, customer: str, to: str | None, *, version: int, sequence: int = 9
) -> Change:
    return Change(WORKSPACE, customer, key_of(identifier), 0, version, sequence, None, to)


class Stage:
    """`state` alone, with one partition."""

    def __init__(self) -> None:
        self.processor = StateProcessor({})
        self.pipeline = InMemoryPipeline([self.processor], partitions=1, now=NOON)

    def change(self, *changes: Change) -> None:
        for change in changes:
            key = topic_key(WORKSPACE, change.customer_id)
            self.pipeline.produce(CONTRIBUTIONS, key, encode_change(change))
        self.pipeline.run()

    def all(self, customer: str) -> list[CustomerState | None]:
        return [
            CUSTOMER_STATE.decode(record.value) if record.value is not None else None
            for record in self.pipeline.records(CUSTOMER_STATE_TOPIC)
            if record.key == topic_key(WORKSPACE, customer)
        ]

    def newest(self, customer: str) -> CustomerState:
        state = self.all(customer)[-1]
        assert state is not None
        return state


def test_a_batch_writes_one_record_per_customer() -> None:
    """However many changes it holds; the newest of each identifier counts."""
    stage = Stage()

    stage.change(
        brings(ADA, own(ADA), 100, sequence=1),
        brings(ADA, own(ADA), 100, 200, sequence=2),
        brings(MAIL, own(ADA), 50, version=3),
    )

    [state] = stage.all(own(ADA))
    assert state is not None
    assert state.metrics.money["EUR"].placed == 350
    assert len(state.identifiers) == 2


def test_an_older_change_that_comes_late_changes_nothing() -> None:
    """And what changes nothing raises no version."""
    stage = Stage()
    stage.change(brings(ADA, own(ADA), 100, version=5, sequence=3))

    stage.change(brings(ADA, own(ADA), version=5, sequence=2))
    stage.change(brings(ADA, own(ADA), version=4, sequence=9))
    stage.change(brings(ADA, own(ADA), 100, version=5, sequence=4))

    assert len(stage.all(own(ADA))) == 1


def test_versions_grow_even_when_the_clock_does_not() -> None:
    """A later record of a customer beats an earlier one by its version alone."""
    stage = Stage()
    for number in range(3):
        stage.pipeline.now = NOON
        stage.change(brings(ADA, own(ADA), *range(number + 1), sequence=number + 1))

    versions = [state.version for state in stage.all(own(ADA)) if state]
    assert versions == sorted(set(versions))
    assert len(versions) == 3


def test_a_customer_that_lost_its_identifiers_points_to_where_its_anchor_went() -> None:
    """In one hop, whatever came of the others and however often the anchor moves on."""
    stage = Stage()
    stage.change(brings(ADA, own(ADA), 100), brings(MAIL, own(ADA), 5, version=2))

    stage.change(leaves(ADA, own(ADA), "cnext", version=7))
    assert stage.newest(own(ADA)).status is Status.ACTIVE
    stage.change(leaves(MAIL, own(ADA), "celsewhere", version=7))
    merged = stage.newest(own(ADA))
    stage.change(leaves(ADA, own(ADA), "cfinal", version=8))

    assert (merged.status, merged.merged_into) == (Status.MERGED, "cnext")
    assert merged.identifiers == ()
    assert stage.newest(own(ADA)).merged_into == "cfinal"


def test_a_merged_customer_comes_back_with_its_identifier() -> None:
    """An un-merge revives the same id with a higher version; no tombstone follows."""
    stage = Stage()
    stage.change(brings(ADA, own(ADA), 100))
    stage.change(leaves(ADA, own(ADA), "cnext", version=7))
    merged = stage.newest(own(ADA))

    stage.change(brings(ADA, own(ADA), 100, version=8, sequence=10))
    stage.pipeline.now += MERGED_MS * 2
    stage.change(brings(MAIL, own(MAIL)))

    revived = stage.newest(own(ADA))
    assert revived.status is Status.ACTIVE
    assert revived.version > merged.version
    assert revived.metrics.money["EUR"].placed == 100


def test_a_merged_customer_gets_its_tombstone_after_a_week() -> None:
    """Not before; the clock is that of the batches."""
    stage = Stage()
    stage.change(brings(ADA, own(ADA), 100), leaves(ADA, own(ADA), "cnext", version=7))

    stage.pipeline.now = NOON + MERGED_MS - 1000
    stage.change(brings(MAIL, own(MAIL)))
    before = stage.newest(own(ADA))
    stage.pipeline.now = NOON + MERGED_MS + 1000
    stage.change(brings(MAIL, own(MAIL), 1, sequence=2))

    assert before.status is Status.MERGED
    assert stage.all(own(ADA))[-1] is None


def test_an_erased_customer_says_so_and_is_forgotten_at_once() -> None:
    """Its last identifier left without a word of where to."""
    stage = Stage()
    stage.change(brings(ADA, own(ADA), 100))

    stage.change(leaves(ADA, own(ADA), None, version=7))

    *_, erased, tombstone = stage.all(own(ADA))
    assert erased is not None
    assert (erased.status, erased.identifiers) == (Status.ERASED, ())
    assert tombstone is None


def test_an_identifier_that_left_and_came_back_in_one_batch_is_written_anew() -> None:
    """Its `since` has grown: whoever keeps the newest place of an identifier must hear of it."""
    stage = Stage()
    stage.change(brings(ADA, own(ADA), 100))

    stage.change(
        leaves(ADA, own(ADA), "cnext", version=7),
        brings(ADA, own(ADA), 100, version=8, sequence=10),
    )

    first, second = stage.all(own(ADA))
    assert first is not None
    assert second is not None
    assert first.digest == second.digest
    assert second.identifiers[0].since == 8


def test_nothing_of_an_erased_customer_stays_in_memory() -> None:
    stage = Stage()
    stage.change(brings(ADA, own(ADA), 100), brings(MAIL, own(ADA), 50, version=3))
    stage.change(brings(ADA, own(ADA), 100, 200, sequence=2))
    assert stage.processor._merges._rests

    stage.change(leaves(ADA, own(ADA), None, version=5), leaves(MAIL, own(ADA), None, version=5))

    assert stage.all(own(ADA))[-1] is None
    assert not stage.processor._merges._rests
