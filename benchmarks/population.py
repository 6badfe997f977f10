"""Customers by number: their identifiers, and what is in the topics about each; nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

from customeros.schemas.avro_values import long_bytes
from customeros.schemas.codec import ASSIGNMENT, IDENTITY_LINK
from customeros.schemas.codec import CUSTOMER_STATE as STATE
from customeros.schemas.customer import (
    Consent,
    CurrencyTotals,
    CustomerState,
    KnownIdentifier,
    Metrics,
    OpenThing,
    OrderDay,
    TimelineEntry,
    Touch,
    Trait,
)
from customeros.schemas.identifier import Identifier, IdentifierKey, customer_id, identifier_key
from customeros.schemas.identity import Assignment, IdentityLink, Proof, Strength
from customeros.schemas.topics import ASSIGNMENTS, CUSTOMER_STATE, LINKS, Topic, topic_key

WORKSPACE: Final = "default"
# How an identifier of customer n is asked for.
PATHS: Final = (
    "/v1/customers/user_id:user-{number:08}",
    "/v1/customers/email:person-{number:08}@mail.example",
    "/v1/customers/anonymous_id:{number:08}-5b1e-4c7a-9d30-6f2e8a41c001",
)
_BEGIN_MS: Final = 1_767_225_600_000
_DAY_MS: Final = 86_400_000
# Events of a customer: of ten, six looked once or twice, three know the shop, one is a regular.
_EVENTS: Final = (1, 1, 2, 2, 2, 3, 8, 12, 20, 120)
_MOST_LISTED: Final = 50
_NOBODY: Final = "00000000"


class Filed(NamedTuple):
    """A record as it is in a topic."""

    topic: Topic
    key: bytes
    value: bytes


def records_of(number: int, secret: bytes) -> Iterator[Filed]:
    """Customer *number* as the stages would have written it: state, assignments, evidence."""
    keys = _keys(number, secret)
    anchor, *moved = keys
    customer = customer_id(WORKSPACE, anchor)
    yield Filed(CUSTOMER_STATE, topic_key(WORKSPACE, customer), _filled(number, secret))
    for kind, key in zip(("email", "anonymous_id"), moved, strict=True):
        assigned = Assignment(
            workspace=WORKSPACE,
            key=key,
            type=kind,
            customer_id=customer,
            version=_BEGIN_MS,
            epoch=0,
            cause=f"m-{number:08}",
        )
        yield Filed(ASSIGNMENTS, topic_key(WORKSPACE, key), ASSIGNMENT.encode(assigned))
        (a, a_type), (b, b_type) = sorted([(anchor, "user_id"), (key, kind)])
        link = IdentityLink(
            workspace=WORKSPACE,
            a=a,
            a_type=a_type,
            b=b,
            b_type=b_type,
            version=_BEGIN_MS,
            strength=Strength.LOGIN,
            occurred_at=_BEGIN_MS,
            event_id=f"m-{number:08}",
            source="demo",
            rule="identify",
            proofs=(Proof(_BEGIN_MS, f"m-{number:08}", "demo", "identify"),),
        )
        yield Filed(LINKS, topic_key(WORKSPACE, f"{a}.{b}"), IDENTITY_LINK.encode(link))


def newer(number: int, secret: bytes, version: int) -> Filed:
    """The state of customer *number*, written again as *version*."""
    customer = customer_id(WORKSPACE, _keys(number, secret)[0])
    # No number comes before the version.
    data = _filled(number, secret).replace(long_bytes(_BEGIN_MS), long_bytes(version), 1)
    return Filed(CUSTOMER_STATE, topic_key(WORKSPACE, customer), data)


def _filled(number: int, secret: bytes) -> bytes:
    """The bytes of a customer like it with its own names in them, all of which are as long."""
    data = _pattern(_EVENTS[number % len(_EVENTS)], secret)
    data = data.replace(_NOBODY.encode(), b"%08d" % number)
    patterns, own = _keys(0, secret), _keys(number, secret)
    for pattern, key in zip(patterns, own, strict=True):
        data = data.replace(pattern.encode(), key.encode())
    somebody, customer = (customer_id(WORKSPACE, keys[0]) for keys in (patterns, own))
    return data.replace(somebody.encode(), customer.encode())


# What is known of a customer names its keys again and again; customer 0 is what is filled in.
@lru_cache(maxsize=4)
def _keys(number: int, secret: bytes) -> list[IdentifierKey]:
    return [identifier_key(secret, one) for one in _identifiers(number)]


def _identifiers(number: int) -> tuple[Identifier, ...]:
    named = (path.rpartition("/")[2].format(number=number).partition(":") for path in PATHS)
    return tuple(Identifier(kind, value) for kind, _, value in named)


@cache
def _pattern(events: int, secret: bytes) -> bytes:
    """A state of customer 0 after so many events."""
    keys = _keys(0, secret)
    orders, last = events // 4, _BEGIN_MS + events * _DAY_MS // 2
    days = {
        f"2026-{1 + day // 28:02}-{1 + day % 28:02}": 2 for day in range(min(events // 2 + 1, 90))
    }
    return STATE.encode(
        CustomerState(
            workspace=WORKSPACE,
            customer_id=customer_id(WORKSPACE, keys[0]),
            version=_BEGIN_MS,
            identifiers=tuple(
                KnownIdentifier(
                    key=key,
                    type=one.type,
                    value=one.value,
                    source="demo",
                    first_seen_at=_BEGIN_MS,
                    last_seen_at=last,
                    since=_BEGIN_MS,
                )
                for one, key in sorted(zip(_identifiers(0), keys, strict=True))
            ),
            traits={
                name: Trait(
                    value=f'"{value}"',
                    source="demo",
                    event_id=f"m-{_NOBODY}",
                    occurred_at=_BEGIN_MS,
                )
                for name, value in (
                    ("city", "Hamburg"),
                    ("email", f"person-{_NOBODY}@mail.example"),
                    ("name", f"Customer {_NOBODY}"),
                    ("plan", "free"),
                )
            },
            consent={
                "marketing": Consent(
                    granted=True, source="demo", event_id=f"m-{_NOBODY}", occurred_at=_BEGIN_MS
                )
            },
            metrics=Metrics(
                events=events,
                by_family={"behavioral": events - orders, "transactional": orders},
                orders=orders,
                items=orders * 2,
                money={"EUR": CurrencyTotals(placed=orders * 4_990)} if orders else {},
                first_seen_at=_BEGIN_MS,
                last_seen_at=last,
                days=days,
                order_days={
                    day: OrderDay(orders=1, placed={"EUR": 4_990}) for day in list(days)[:orders]
                },
                uniques={"pages": events, "products": orders, "orders": orders, "days": len(days)},
            ),
            things=tuple(
                OpenThing(
                    kind="order",
                    ref=f"o-{_NOBODY}-{n}",
                    state="placed",
                    occurred_at=last - n * _DAY_MS,
                    event_id=f"m-{_NOBODY}-{n}",
                    amount=4_990,
                    currency="EUR",
                )
                for n in range(min(orders, _MOST_LISTED))
            ),
            timeline=tuple(
                TimelineEntry(
                    occurred_at=last - n * _DAY_MS // 2,
                    event_id=f"m-{_NOBODY}-{n}",
                    source="demo",
                    family="behavioral",
                    name="Product Viewed",
                )
                for n in range(min(events, _MOST_LISTED))
            ),
            sets={"products": {f"p-{n}": last for n in range(min(events, _MOST_LISTED))}},
            first_touch=(
                touch := Touch(
                    occurred_at=_BEGIN_MS,
                    event_id=f"m-{_NOBODY}",
                    source="demo",
                    values={"utm_source": "newsletter", "utm_campaign": "spring"},
                )
            ),
            last_touch=touch,
            digest="0123456789abcdef",
        )
    )
