"""What must be there in the end, computed offline from what the clients were told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from customeros.connectors.segment import Envelope, Interpreter
from customeros.processors.identity.rules import Rules
from customeros.runtime.secrets import read_secrets
from customeros.runtime.settings import Settings
from customeros.schemas.codec import ACCOUNT_STATE
from customeros.schemas.event import Event
from customeros.schemas.identifier import DEFAULT_RULES
from customeros.schemas.topics import ACCOUNT_STATE as ACCOUNT_STATE_TOPIC
from support.chaos.client import Told
from support.chaos.traffic import Call
from support.histories import DAY, NOON, WORKSPACE
from support.offline import Offline
from support.whole_pipeline import a_pipeline, check, fingerprint, happen

# After every timestamp of the traffic.
_LATER = NOON + 1_000 * DAY


class Sums(NamedTuple):
    """Of one customer; money in cents."""

    events: int
    orders: int
    placed: int
    refunded: int


class Expected(NamedTuple):
    """
    What every store must hold.

    Args:
        events: ids, each to be there once.
        customers: sums by customer id.
        identifiers: customer ids by `type:value`.
        accounts: how many events name each.
        digest: of identity, states and accounts.
        letters: by message id of what the collector refuses: at least and at most so many.
    """

    events: frozenset[str]
    customers: Mapping[str, Sums]
    identifiers: Mapping[str, str]
    accounts: Mapping[str, int]
    digest: str
    letters: Mapping[str, tuple[int, int]]


def expected_of(
    calls: Iterable[tuple[str, Call]], told: Told, written: Iterable[str], settings: Settings
) -> Expected:
    """
    The answer, by the judge of the identity tests and by the pipeline in memory, which agree.

    Args:
        written: ids of events that the collector wrote; of what nobody was told of, those count,
            as an answer may have been lost.
    """
    may_be = told.accepted | (set(written) & told.attempts.keys())
    events, refused = _interpreted(calls, settings)
    taken = [event for event in events.values() if event.event_id in may_be]
    rules = Rules(workspace=WORKSPACE)
    pipeline = a_pipeline(4, rules)
    happen(pipeline, taken)
    pipeline.run()
    judge = Offline(taken, rules)
    check(pipeline, judge)
    accounts = map(ACCOUNT_STATE.decode, pipeline.latest(ACCOUNT_STATE_TOPIC).values())
    return Expected(
        frozenset(event.event_id for event in taken),
        {
            customer: Sums(total.events, total.orders, total.placed["EUR"], total.refunded["EUR"])
            for customer, total in judge.totals().items()
        },
        {
            f"{identifier.type}:{identifier.value}": judge.customers[key]
            for key, identifier in judge.types.items()
        },
        {account.account_id: account.metrics.events for account in accounts},
        fingerprint(pipeline),
        {
            letter: (1 if letter in told.accepted else 0, told.attempts[letter])
            for letter in refused & told.attempts.keys()
        },
    )


def _interpreted(
    calls: Iterable[tuple[str, Call]], settings: Settings
) -> tuple[dict[tuple[str, str], Event], set[str]]:
    """Events by source and id, and the ids of the calls that are refused."""
    key = read_secrets(settings).workspace_key(WORKSPACE)
    events: dict[tuple[str, str], Event] = {}
    refused = set()
    for source, call in calls:
        interpreter = Interpreter(
            workspace=WORKSPACE,
            source=source,
            rules=DEFAULT_RULES,
            workspace_key=key,
            default_currency=None,
        )
        found = interpreter.interpret(
            json.dumps(call).encode(), Envelope("request", _LATER), kind=None, index=0
        )
        if isinstance(found, Event):
            events[source, found.event_id] = found
        else:
            refused.add(str(call["messageId"]))
    return events, refused
