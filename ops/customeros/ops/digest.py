"""One hash over who is who and what is known: equal for equal sets of events, whatever the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from customeros.ops.spans import Place, Span, newest, spans
from customeros.runtime.settings import Settings
from customeros.schemas.account import AccountState, AccountStatus
from customeros.schemas.codec import ACCOUNT_STATE, ASSIGNMENT, CUSTOMER_STATE
from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.identifier import IdentifierKey, customer_id
from customeros.schemas.identity import Assignment
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC
from customeros.schemas.topics import ASSIGNMENTS
from customeros.schemas.topics import CUSTOMER_STATE as CUSTOMER_STATE_TOPIC

# What a digest is over.
COMPARED: Final = (CUSTOMER_STATE_TOPIC, ASSIGNMENTS, ACCOUNT_STATE_TOPIC)
# `workspace|name`, and what is said of it.
Fact = tuple[str, str]


class Facts(NamedTuple):
    """
    What a digest is over, by `workspace|name`: what each says, without who it is.

    Args:
        customers: by customer id; live and erased ones.
        moved: by identifier key, of those that are not their own customer: whose they are.
        accounts: by account id; live ones.
    """

    customers: Mapping[str, str]
    moved: Mapping[str, str]
    accounts: Mapping[str, str]


class Digest(NamedTuple):
    """What was hashed, and the hash."""

    customers: int
    moved: int
    value: str


def facts(
    states: Iterable[CustomerState],
    assignments: Iterable[Assignment],
    accounts: Iterable[AccountState] = (),
) -> Facts:
    """
    What these topics say that is the same for equal sets of events.

    What depends on the way is left out: versions, the customers that were merged away, since
    which of them there ever were depends on the order of arrival, and deleted accounts, since
    each is forgotten some days later.
    """
    return Facts(
        _known(map(_customer, states)),
        _known(map(_moved, assignments)),
        _known(map(_account, accounts)),
    )


def digest_of(found: Facts) -> Digest:
    """The hash over all of *found*."""
    hashed = hashlib.blake2b(digest_size=32)
    known, moved, accounts = (
        sorted(f"{name}|{said}" for name, said in part.items()) for part in found
    )
    for line in (*known, "", *moved, *(f"account|{said}" for said in accounts)):
        hashed.update(line.encode() + b"\n")
    return Digest(len(known), len(moved), hashed.hexdigest())


def digest(
    states: Iterable[CustomerState],
    assignments: Iterable[Assignment],
    accounts: Iterable[AccountState] = (),
) -> Digest:
    """The hash over what these topics say."""
    return digest_of(facts(states, assignments, accounts))


def read_digest(settings: Settings) -> Digest:
    """
    The digest of what the topics hold now; stages that are behind change it when they catch up.

    Raises:
        Unavailable: the broker does not answer.
    """
    return digest_of(read_facts(settings, spans(settings, COMPARED)))


def read_facts(settings: Settings, at: Mapping[Place, Span]) -> Facts:
    """
    What the topics said where *at* ends.

    Raises:
        Unavailable: the broker does not answer.
    """
    states = newest(
        settings, CUSTOMER_STATE_TOPIC, at, lambda raw: _customer(CUSTOMER_STATE.decode(raw))
    )
    assignments = newest(settings, ASSIGNMENTS, at, lambda raw: _moved(ASSIGNMENT.decode(raw)))
    accounts = newest(
        settings, ACCOUNT_STATE_TOPIC, at, lambda raw: _account(ACCOUNT_STATE.decode(raw))
    )
    return Facts(_known(states.values()), _known(assignments.values()), _known(accounts.values()))


def _customer(state: CustomerState) -> Fact | None:
    if state.status is Status.MERGED:
        return None
    return f"{state.workspace}|{state.customer_id}", f"{state.status}|{state.digest}"


def _moved(said: Assignment) -> Fact | None:
    if said.customer_id == customer_id(said.workspace, IdentifierKey(said.key), said.epoch):
        return None
    return f"{said.workspace}|{said.key}", said.customer_id


def _account(state: AccountState) -> Fact | None:
    if state.status is AccountStatus.DELETED:
        return None
    return f"{state.workspace}|{state.account_id}", state.digest


def _known(found: Iterable[Fact | None]) -> dict[str, str]:
    return dict(fact for fact in found if fact is not None)
