"""The stage `resolve`: each event once, attributed, and everybody told what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from customeros.processors.identity.rules import Rules
from customeros.processors.profile.model import Change, decode_change, decode_profile
from customeros.processors.streams.deduplication import EVENTS_SEEN, EXPIRY, HOUR_MS
from customeros.processors.streams.identifier import IDENTIFIERS, Sighting, decode_sighting
from customeros.processors.streams.resolve import ResolveProcessor
from customeros.runtime.stream.memory import InMemoryPipeline
from customeros.schemas.codec import ASSIGNMENT, DEAD_LETTER, EVENT, EVIDENCE, RESOLVED_EVENT
from customeros.schemas.event import ConsentDecision, Event, Family
from customeros.schemas.identifier import Identifier, IdentifierKey, customer_id
from customeros.schemas.identity import Assignment, Evidence, Link
from customeros.schemas.topics import (
    ASSIGNMENTS,
    CONTRIBUTIONS,
    DEAD_LETTERS,
    EVENTS,
    RESOLVED,
    SIGHTINGS,
    Topic,
    changelog,
    topic_key,
)
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC
from support.histories import (
    ADA,
    MINUTE,
    NOON,
    WORKSPACE,
    an_event,
    an_order,
    key_of,
)

COOKIE = Identifier("anonymous_id", "cookie")
MAIL = Identifier("email", "ada@example.com")


class Stage:
    """`resolve` alone, with what it wrote since the last look."""

    def __init__(self, processor: ResolveProcessor | None = None) -> None:
        self.processor = processor or ResolveProcessor({}, {("shop", "crm"): 5})
        self.pipeline = InMemoryPipeline([self.processor], partitions=1)
        self._seen: dict[str, int] = {}

    def happen(self, *events: Event) -> None:
        for event in events:
            key = topic_key(event.workspace, event.identifier_keys[0])
            self.pipeline.produce(EVENTS[event.family], key, EVENT.encode(event))
        self.pipeline.run()

    def assign(self, identifier: Identifier, customer: str, version: int, epoch: int = 0) -> None:
        nid = key_of(identifier)
        assignment = Assignment(
            workspace=WORKSPACE,
            key=nid,
            type=identifier.type,
            customer_id=customer,
            version=version,
            epoch=epoch,
            cause="e1",
        )
        key = topic_key(WORKSPACE, nid)
        self.pipeline.produce(ASSIGNMENTS, key, ASSIGNMENT.encode(assignment))
        self.pipeline.run()

    def new(self, topic: Topic, decode: Any) -> list[Any]:
        records = self.pipeline.records(topic)
        seen = self._seen.get(topic.name, 0)
        self._seen[topic.name] = len(records)
        return [decode(record.value) for record in records[seen:]]

    def changes(self) -> list[Change]:
        return [told.change for told in self.new(CONTRIBUTIONS, decode_change)]

    def evidence(self) -> list[Evidence]:
        return self.new(EVIDENCE_TOPIC, EVIDENCE.decode)

    def links(self) -> list[Link]:
        return [found.link for found in self.evidence() if found.link]

    def resolved(self) -> list[Any]:
        return self.new(RESOLVED, RESOLVED_EVENT.decode)

    def sightings(self) -> list[Sighting]:
        return self.new(SIGHTINGS, decode_sighting)

    def dead_letters(self) -> list[Any]:
        return self.new(DEAD_LETTERS, DEAD_LETTER.decode)


def own(identifier: Identifier) -> str:
    return customer_id(WORKSPACE, IdentifierKey(key_of(identifier)))


def test_what_several_families_say_in_one_transaction_is_told_once() -> None:
    """And it adds up to what they say one after the other."""
    families = (Family.BEHAVIORAL, Family.SOCIAL, Family.SOCIAL, Family.BEHAVIORAL)
    events = [an_event(f"e{n}", family=family) for n, family in enumerate(families)]
    together, apart = Stage(), Stage()

    together.happen(*events)
    for event in events:
        apart.happen(event)

    (told,), said = together.changes(), apart.changes()
    assert (told.sequence, said[-1].sequence) == (1, 4)
    assert told.contribution == said[-1].contribution


def test_an_event_of_nobody_known_has_its_final_customer_at_once() -> None:
    """A single identifier is a customer of its own, without asking the graph."""
    stage = Stage()

    stage.happen(an_event())

    [resolved] = stage.resolved()
    [change] = stage.changes()
    assert resolved.customer_id == own(ADA) == change.customer_id
    assert resolved.assignment_version == 0
    assert change.contribution is not None
    assert decode_profile(change.contribution.profile).events == 1
    assert change.contribution.value == "ada"
    assert stage.evidence() == []


def test_an_event_sent_again_is_dropped() -> None:
    """By (source, event id): in the same batch, later, and from another topic's batch."""
    stage = Stage()
    event = an_event("e1", [ADA, MAIL])

    stage.happen(event, event)
    stage.happen(event)
    stage.happen(an_event("e1", source="crm"))

    assert len(stage.resolved()) == 2
    contribution = stage.changes()[-1].contribution
    assert contribution is not None
    assert decode_profile(contribution.profile).events == 2
    assert len(stage.links()) == 1


def test_an_event_id_is_forgotten_after_its_window() -> None:
    """By the progress of `received_at`; marks and their expiry rows are both gone."""
    stage = Stage(ResolveProcessor({}, {}, window_ms=2 * HOUR_MS))
    stage.pipeline.now = NOON + 24 * HOUR_MS

    stage.happen(an_event("e1", received_at=NOON))
    stage.happen(an_event("e2", received_at=NOON + 2 * HOUR_MS))
    stage.happen(an_event("e1", received_at=NOON + 2 * HOUR_MS))
    assert len(stage.resolved()) == 2
    stage.happen(an_event("e3", received_at=NOON + 4 * HOUR_MS))
    stage.happen(an_event("e1", received_at=NOON + 4 * HOUR_MS))

    assert len(stage.resolved()) == 2
    kept = list(stage.pipeline.latest(changelog("resolve")))
    assert len([key for key in kept if key.startswith(EVENTS_SEEN.prefix)]) == 3
    assert len([key for key in kept if key.startswith(EXPIRY.prefix)]) == 3


def test_a_stage_that_is_behind_forgets_nothing_too_early() -> None:
    """The wall clock is days ahead of the events: their retries are still known."""
    stage = Stage()
    stage.pipeline.now = NOON + 1000 * HOUR_MS

    stage.happen(an_event("e1"), an_event("e2", received_at=NOON + 30 * MINUTE))
    stage.happen(an_event("e1", received_at=NOON + 60 * MINUTE))

    assert len(stage.resolved()) == 2


def test_a_new_pair_is_evidence_and_a_sighting() -> None:
    """The graph hears of both ends; the other identifier's own place learns its value."""
    stage = Stage()

    stage.happen(an_event("e1", [ADA, MAIL, COOKIE], kind="identify"))

    links = stage.links()
    assert {link.b.key for link in links} == {key_of(MAIL), key_of(COOKIE)}
    assert {(link.rule, link.source) for link in links} == {("identify", "web")}
    assert {sighting.value for sighting in stage.sightings()} == {MAIL.value, "cookie"}
    contributed = {change.nid: change.contribution for change in stage.changes()}
    mail = contributed[key_of(MAIL)]
    assert mail is not None
    assert (mail.value, decode_profile(mail.profile).events) == (MAIL.value, 0)


def test_a_known_pair_causes_no_traffic() -> None:
    """In the steady state an event is a resolved event and a contribution."""
    stage = Stage()
    stage.happen(an_event("e1", [ADA, MAIL]))
    stage.links(), stage.sightings(), stage.changes()

    stage.happen(an_event("e2", [ADA, MAIL], occurred_at=NOON + 1))

    assert stage.evidence() == []
    assert stage.sightings() == []
    [change] = stage.changes()
    assert change.contribution is not None
    assert change.contribution.beside == {key_of(MAIL): NOON + 1}


@pytest.mark.parametrize(
    ("kind", "source", "occurred_at", "new"),
    [
        ("identify", "web", NOON + 9, True),
        ("page", "web", NOON + 9, True),
        ("track", "crm", NOON + 9, True),
        ("track", "web", NOON - 9, True),
        ("track", "web", NOON + 9, False),
    ],
)
def test_the_earliest_evidence_of_each_rule_and_source_is_sent(
    kind: str, source: str, occurred_at: int, new: bool
) -> None:
    """However strong it is: that is for the graph to say, and may change."""
    stage = Stage()
    stage.happen(an_event("e1", [ADA, MAIL]))
    stage.links()

    stage.happen(an_event("e2", [ADA, MAIL], kind=kind, source=source, occurred_at=occurred_at))

    assert bool(stage.links()) is new


def test_the_graph_learns_that_a_linked_identifier_was_seen_earlier() -> None:
    """An earlier event of the identifier alone changes who is the anchor."""
    stage = Stage()
    stage.happen(an_event("e1", [ADA, MAIL], kind="alias"))
    stage.evidence()

    stage.happen(an_event("e2", [ADA], occurred_at=NOON - 5))
    [of_primary] = stage.evidence()
    stage.happen(an_event("e3", [MAIL], occurred_at=NOON - 7))
    [of_other] = stage.evidence()
    stage.happen(an_event("e4", [ADA, MAIL], occurred_at=NOON - 9))
    earliest = stage.evidence()  # of another rule, so it is evidence for both

    assert of_primary.seen is not None
    assert of_primary.seen.first_seen_at == NOON - 5
    assert of_other.seen is not None
    assert (of_other.seen.key, of_other.seen.first_event_id) == (key_of(MAIL), "e3")
    [link] = [one.link for one in earliest]
    assert link is not None
    assert (link.a.first_seen_at, link.b.first_seen_at) == (NOON - 9, NOON - 9)


def test_an_unlinked_identifier_does_not_bother_the_graph() -> None:
    """Nobody asks when it was first seen."""
    stage = Stage()

    stage.happen(an_event("e1", [ADA]), an_event("e2", [ADA], occurred_at=NOON - 5))

    assert stage.evidence() == []


def test_an_identifier_with_too_many_neighbours_stops_growing() -> None:
    """Its neighbours remember what it cannot: one sighting and at most one link for an event."""
    stage = Stage(ResolveProcessor({}, {}))
    cap = Rules(workspace=WORKSPACE).degree("device_id")
    device = Identifier("device_id", "kiosk")
    tokens = [Identifier("push_token", f"t{number}") for number in range(cap + 20)]

    for number, token in enumerate(tokens):
        stage.happen(an_event(f"e{number}", [device, token]))
    links, sightings = stage.links(), stage.sightings()
    stage.happen(an_event("again", [device, tokens[-1]], occurred_at=NOON + 1))

    assert len([link for link in links if link.a.key == key_of(device)]) == cap + 2
    assert {link.a.key for link in links if link.b.key == key_of(device)} == {
        key_of(token) for token in tokens[cap + 2 :]
    }
    assert len(sightings) == len(tokens)
    assert stage.evidence() == []
    assert len(stage.sightings()) == 1
    kept = stage.pipeline.latest(changelog("resolve"))
    record = IDENTIFIERS.decode(kept[IDENTIFIERS.prefix + topic_key(WORKSPACE, key_of(device))])
    assert len(record.pairs) == cap + 2


def test_a_batch_tells_each_thing_once() -> None:
    """Many events of one pair in one batch: one link, one sighting, one contribution each."""
    stage = Stage()

    stage.happen(
        *(an_event(f"e{n}", [ADA, MAIL], occurred_at=NOON - n, kind="identify") for n in range(50))
    )

    [link] = stage.links()
    assert (link.occurred_at, link.b.first_seen_at) == (NOON - 49, NOON - 49)
    [sighting] = stage.sightings()
    assert sighting.first.occurred_at == NOON - 49
    assert len(stage.changes()) == 2


def test_an_assignment_moves_the_contribution_gain_first() -> None:
    """Then the loss; a later move also points the identifier's own customer to the new one."""
    stage = Stage()
    stage.happen(an_event())
    stage.changes()

    stage.assign(ADA, "cfirst", 10)
    first = [(c.customer_id, c.contribution is not None, c.moved_to) for c in stage.changes()]
    stage.assign(ADA, "csecond", 20)
    second = stage.changes()
    stage.assign(ADA, "cold", 15)

    assert set(first) == {("cfirst", True, None), (own(ADA), False, "cfirst")}
    assert {(c.customer_id, c.contribution is not None, c.moved_to) for c in second} == {
        ("csecond", True, None),
        ("cfirst", False, "csecond"),
        (own(ADA), False, "csecond"),
    }
    assert sorted(c.sequence for c in second) == [4, 5, 6]
    assert stage.changes() == []
    stage.happen(an_event("e2"))
    assert stage.resolved()[-1].customer_id == "csecond"


def test_an_assignment_may_come_before_any_event_of_its_identifier() -> None:
    """It is remembered; what is then seen belongs to that customer."""
    stage = Stage()

    stage.assign(MAIL, own(ADA), 10)
    [moved] = stage.changes()
    stage.happen(an_event("e1", [ADA, MAIL]))
    told = {c.nid: c.customer_id for c in stage.changes()}

    assert (moved.customer_id, moved.contribution, moved.moved_to) == (own(MAIL), None, own(ADA))
    assert told[key_of(MAIL)] == own(ADA)


def test_consent_counts_for_every_identifier_that_the_event_names() -> None:
    """Also where the pair is known; the newest decision of several in a batch is told."""
    stage = Stage()
    stage.happen(an_event("e0", [ADA, MAIL]))
    stage.changes(), stage.sightings()

    stage.happen(
        an_event("e1", [ADA, MAIL], consent=(ConsentDecision("ads", False),)),
        an_event("e2", [ADA, MAIL], occurred_at=NOON + 1, consent=(ConsentDecision("ads", True),)),
    )

    [sighting] = stage.sightings()
    assert sighting.consent["ads"].refused is False
    for change in stage.changes():
        assert change.contribution is not None
        assert change.contribution.consent["ads"].event_id == "e2"


def test_an_erased_identifier_starts_anew_and_old_events_do_not_come_back() -> None:
    """The customer loses it with no word of where it went; only newer events count."""
    stage = Stage()
    stage.happen(an_event("e1"))
    stage.changes(), stage.resolved()

    stage.assign(ADA, "cnext", NOON + 100, epoch=1)
    [gone] = stage.changes()
    stage.happen(an_event("e2", occurred_at=NOON + 100))
    nothing = stage.resolved(), stage.changes()
    stage.happen(an_event("e3", occurred_at=NOON + 101))
    [change] = stage.changes()

    assert (gone.customer_id, gone.contribution, gone.moved_to) == (own(ADA), None, None)
    assert nothing == ([], [])
    assert (change.customer_id, change.epoch) == ("cnext", 1)
    assert change.contribution is not None
    assert decode_profile(change.contribution.profile).events == 1


def _spoilt(event: Event, **changes: object) -> Event:
    return msgspec.structs.replace(event, **changes)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (_spoilt(an_event(), personal=None), "misaligned_identifiers"),
        (_spoilt(an_event(), identifier_keys=("a", "b")), "misaligned_identifiers"),
        (_spoilt(an_event(), occurred_at=-1), "time_out_of_range"),
        (_spoilt(an_event(), occurred_at=2**60), "time_out_of_range"),
        (an_event(order=an_order(2**62)), "amount_out_of_range"),
    ],
)
def test_an_event_that_cannot_be_attributed_or_summed_is_a_dead_letter(
    event: Event, reason: str
) -> None:
    """With its source, and its bytes as they came; the others of the batch go on."""
    stage = Stage()

    stage.happen(event, an_event("good"))

    [letter] = stage.dead_letters()
    assert (letter.reason, letter.source, letter.stage) == (reason, "web", "resolve")
    assert EVENT.decode(letter.value) == event
    assert len(stage.resolved()) == 1


def test_an_event_under_another_s_key_is_a_dead_letter() -> None:
    """It would be folded in a partition where its identifier does not live."""
    stage = Stage()
    event = an_event()
    elsewhere: Sequence[bytes] = (b"shop/elsewhere", b"")

    for key in elsewhere:
        stage.pipeline.produce(EVENTS[event.family], key, EVENT.encode(event))
    stage.pipeline.run()

    assert [letter.reason for letter in stage.dead_letters()] == ["misrouted"] * 2
