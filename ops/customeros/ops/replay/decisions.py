"""What people decided (joins, splits, rules, erasures) is in no event: hand it to a generation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import Message

from customeros.ops.lag import unread
from customeros.ops.spans import newest, read, spans
from customeros.processors.identity.model import NEVER
from customeros.processors.identity.public import evidence_of
from customeros.runtime import clients
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.schemas.codec import ASSIGNMENT, EVIDENCE, IDENTITY_CHANGE, Undecodable
from customeros.schemas.identity import (
    Assignment,
    Endpoint,
    Evidence,
    EvidenceKind,
    IdentityChange,
)
from customeros.schemas.topics import ASSIGNMENTS, CHANGES
from customeros.schemas.topics import EVIDENCE as EVIDENCE_TOPIC

_SECONDS: Final = 30.0
_BY_HAND: Final = frozenset(
    {EvidenceKind.CUT, EvidenceKind.JOIN, EvidenceKind.RULES, EvidenceKind.ERASE}
)


def hand_over(giver: Settings, taker: Settings) -> int:
    """
    Tell *taker* what was decided in *giver* and it does not have yet; how many decisions it was.

    Again is harmless: a decision that is told twice counts once.

    Raises:
        Unavailable: the broker does not answer.
    """
    return tell(taker, missing(giver, taker))


def missing(giver: Settings, taker: Settings) -> list[Evidence]:
    """
    What was decided in *giver* and *taker* does not have.

    Raises:
        Unavailable: the broker does not answer.
    """
    at = spans(giver, (CHANGES, ASSIGNMENTS)) | spans(taker, (CHANGES, ASSIGNMENTS))
    made, known = (newest(s, CHANGES, at, IDENTITY_CHANGE.decode) for s in (giver, taker))
    erased, gone = (newest(s, ASSIGNMENTS, at, _if_erased) for s in (giver, taker))
    return [*untold(made, known), *unerased(erased, gone)]


def hand_over_unfolded(giver: Settings, taker: Settings) -> int:
    """
    Tell *taker* what was decided in *giver* and not folded there any more, as it was stopped.

    Raises:
        Unavailable: the broker does not answer.
    """
    left = unread(giver, "graph", spans(giver, [EVIDENCE_TOPIC]))
    return tell(taker, [said for m in read(giver, left) if (said := _by_hand(m)) is not None])


def untold(
    made: Mapping[bytes, IdentityChange], known: Mapping[bytes, IdentityChange]
) -> Iterator[Evidence]:
    """What was *made* and is not *known* so far, rules first, as others are judged by them."""
    changes = [
        change
        for key, change in made.items()
        if (held := known.get(key)) is None or held.version < change.version
    ]
    order = sorted(changes, key=lambda c: (c.kind != EvidenceKind.RULES, c.version, c.change_id))
    return map(evidence_of, order)


def unerased(
    erased: Mapping[bytes, Assignment | None], gone: Mapping[bytes, Assignment | None]
) -> Iterator[Evidence]:
    """What was *erased* and is not *gone* yet: a rebuild must not bring it back."""
    for key, said in erased.items():
        held = gone.get(key)
        if said is not None and (held is None or held.epoch < said.epoch):
            point = Endpoint(
                key=said.key,
                type=said.type,
                first_seen_at=NEVER,
                first_event_id=said.cause,
                epoch=said.epoch,
            )
            yield Evidence(workspace=said.workspace, kind=EvidenceKind.ERASE, erase=point)


def _if_erased(raw: bytes) -> Assignment | None:
    said = ASSIGNMENT.decode(raw)
    return said if said.epoch else None


def _by_hand(message: Message) -> Evidence | None:
    try:
        said = EVIDENCE.decode(message.value() or b"")
    except Undecodable:
        return None
    return said if said.kind in _BY_HAND else None


def tell(taker: Settings, evidence: Iterable[Evidence]) -> int:
    """
    Put *evidence* on the topic of *taker*; how many it was.

    Raises:
        Unavailable: the broker does not have all of it.
    """
    topic = prefixed(taker, EVIDENCE_TOPIC)
    records = ((topic, said.workspace.encode(), EVIDENCE.encode(said)) for said in evidence)
    producer = clients.producer(taker, **{"linger.ms": 0})
    return clients.deliver(producer, records, seconds=_SECONDS)
