"""The topics of the platform: one table, from which they are created and checked."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from customeros.schemas.event import Event, Family

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR

# Each replay builds the derived topics anew, as one generation more.
FIRST_GENERATION: Final = 1


class Cleanup(StrEnum):
    DELETE = "delete"
    COMPACT = "compact"


class Topic(NamedTuple):
    """
    One topic; see `full_name` for what the broker calls it.

    Args:
        key: what the key bytes are, after `workspace/`.
        schema: name of the released schema of its values; None: internal msgpack.
        retention_ms: how long records stay; None for compacted topics.
        derived: made from other topics, so that a replay builds it anew under another name.
    """

    name: str
    key: str
    cleanup: Cleanup
    schema: str | None
    retention_ms: int | None = None
    derived: bool = True

    def full_name(self, prefix: str = "", generation: int = FIRST_GENERATION) -> str:
        """
        The topic's name on the broker.

        Args:
            prefix: the setting `kafka.topic_prefix`, in front of every name.
            generation: which build of all that is derived; the first has no mark of its own.
        """
        return f"{prefix}{generation_prefix(generation) if self.derived else ''}{self.name}"

    @property
    def config(self) -> dict[str, str]:
        """The broker's configuration of this topic."""
        if self.cleanup is Cleanup.COMPACT:
            # Small segments and a low ratio, so that what is superseded or erased goes soon.
            return {
                "cleanup.policy": "compact",
                "min.cleanable.dirty.ratio": "0.1",
                "max.compaction.lag.ms": str(_DAY),
                "segment.ms": str(_DAY),
                "delete.retention.ms": str(_DAY),
            }
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


def generation_prefix(generation: int) -> str:
    """What the names of a generation begin with: nothing, `g2.`, `g3.` …"""
    return "" if generation == FIRST_GENERATION else f"g{generation}."


def _event_topic(family: Family) -> Topic:
    name, key = f"events.{family}", "primary identifier key, or account id"
    return Topic(name, key, Cleanup.DELETE, "event", 30 * _DAY, derived=False)


EVENTS: Final = {family: _event_topic(family) for family in Family}
EVIDENCE: Final = Topic("identity.evidence", "workspace", Cleanup.DELETE, "evidence", 7 * _DAY)
ASSIGNMENTS: Final = Topic("identity.assignments", "identifier key", Cleanup.COMPACT, "assignment")
# Evidence as the graph holds it, so that others can say why; refused evidence included.
LINKS: Final = Topic("identity.links", "pair of keys", Cleanup.COMPACT, "identity_link")
CHANGES: Final = Topic("identity.changes", "change id", Cleanup.COMPACT, "identity_change")
# Tells an identifier's own partition that it was seen beside another one: its value, its times.
SIGHTINGS: Final = Topic("identity.sightings", "identifier key", Cleanup.DELETE, None, 7 * _DAY)
CONTRIBUTIONS: Final = Topic("profile.contributions", "customer id", Cleanup.DELETE, None, _DAY)
CUSTOMER_STATE: Final = Topic("customer-state", "customer id", Cleanup.COMPACT, "customer_state")
ACCOUNT_CONTRIBUTIONS: Final = Topic(
    "account.contributions", "account id", Cleanup.DELETE, None, _DAY
)
ACCOUNT_STATE: Final = Topic("account-state", "account id", Cleanup.COMPACT, "account_state")
RESOLVED: Final = Topic(
    "events.resolved", "customer id", Cleanup.DELETE, "resolved_event", 7 * _DAY
)
# The collector's are nowhere else, so all generations share it.
DEAD_LETTERS: Final = Topic(
    "dead-letters", "source", Cleanup.DELETE, "dead_letter", 30 * _DAY, derived=False
)

TOPICS: Final = (
    *EVENTS.values(),
    EVIDENCE,
    ASSIGNMENTS,
    LINKS,
    CHANGES,
    SIGHTINGS,
    CONTRIBUTIONS,
    CUSTOMER_STATE,
    ACCOUNT_CONTRIBUTIONS,
    ACCOUNT_STATE,
    RESOLVED,
    DEAD_LETTERS,
)


def changelog(stage: str) -> Topic:
    """Where the worker *stage* keeps its state; partition n belongs to input partition n."""
    return Topic(f"{stage}-changelog", "state key", Cleanup.COMPACT, None)


def topic_key(workspace: str, name: str) -> bytes:
    """The key bytes of every topic: `workspace/name`."""
    return f"{workspace}/{name}".encode()


def event_key(event: Event) -> bytes | None:
    """
    The key of *event* on its topic: by its primary identifier, or by the organisation that it names
    where it names no person; None: it names neither.
    """
    name = event.identifier_keys[0] if event.identifier_keys else event.account_id
    return topic_key(event.workspace, name) if name else None


def all_topics(stages: Iterable[str]) -> tuple[Topic, ...]:
    """Every topic of the platform, the changelogs of *stages* included."""
    return (*TOPICS, *(changelog(stage) for stage in stages))
