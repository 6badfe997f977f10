"""The state of one organisation: the value of the compacted topic `account-state`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from customeros.schemas.customer import Metrics, OpenThing, Trait


class AccountStatus(StrEnum):
    ACTIVE = "active"
    DELETED = "deleted"  # a newer event brings it back


class AccountMember(msgspec.Struct, frozen=True, kw_only=True):
    """
    A customer who belongs to the organisation.

    Args:
        role: as it was last given; None: never.
        since: the first event that made it a member, ms; last_seen_at: the newest of its events
            that name the organisation.
        source, event_id: of what made it a member last.
    """

    customer_id: str
    role: str | None
    since: int
    last_seen_at: int
    source: str
    event_id: str


class AccountEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the timeline; `customer_id` is whose it is now, None where nobody's."""

    occurred_at: int
    event_id: str
    source: str
    family: str
    name: str
    ref: str | None = None
    customer_id: str | None = None


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """
    What all events that name an organisation add up to.

    Args:
        version: hybrid clock, ms; grows per account: a consumer ignores an older one.
        parent: the account that it says it belongs to; `subsidiaries` say so of this one.
        subsidiaries: the first 50 by id; members: the 100 last seen, newest first. The counts
            are of all.
        traits: of `group` calls.
        metrics, things: of the events that name the account, whoever's they are; as a customer's.
        timeline: newest first, at most 50.
        digest: hash over all but `version`; equal content, equal digest.
    """

    workspace: str
    account_id: str
    version: int
    status: AccountStatus = AccountStatus.ACTIVE
    parent: str | None = None
    subsidiaries: tuple[str, ...] = ()
    subsidiary_count: int = 0
    members: tuple[AccountMember, ...] = ()
    member_count: int = 0
    traits: dict[str, Trait] = {}
    metrics: Metrics = Metrics()
    things: tuple[OpenThing, ...] = ()
    timeline: tuple[AccountEntry, ...] = ()
    digest: str = ""
