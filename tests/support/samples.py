"""One filled value of every public topic: Ada, who reads books."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from customeros.schemas.account import AccountEntry, AccountMember, AccountState
from customeros.schemas.customer import (
    Consent,
    CurrencyTotals,
    Membership,
    Metrics,
    OpenThing,
    OrderDay,
    TimelineEntry,
    Touch,
    Trait,
)
from customeros.schemas.dead_letter import DeadLetter, Origin
from customeros.schemas.event import (
    ConsentDecision,
    Direction,
    Event,
    Family,
    Message,
    Money,
    Order,
    OrderAction,
    OrderLine,
    Personal,
    ResolvedEvent,
)
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import (
    Endpoint,
    Evidence,
    EvidenceKind,
    IdentityChange,
    IdentityLink,
    Link,
)
from support.customers import NOON, WORKSPACE, a_state, an_assignment, known, own_id

ADA: Final = own_id("user_id", "ada")
_KEY: Final = known("user_id", "ada").key

EVENT: Final = Event(
    workspace=WORKSPACE,
    source="demo",
    event_id="order-1",
    family=Family.TRANSACTIONAL,
    kind="track",
    name="Order Completed",
    occurred_at=NOON,
    received_at=NOON + 40,
    identifier_keys=(_KEY,),
    order=Order(
        order_id="o-1001",
        action=OrderAction.PLACED,
        total=Money(1995, "EUR"),
        lines=(OrderLine(product_id="BK-1", name="Notes", unit_price=1995),),
    ),
    message=Message(channel="whatsapp", direction=Direction.INBOUND, conversation_id="t-7"),
    consent=(ConsentDecision("newsletter", granted=True),),
    personal=Personal(
        identifiers=(Identifier("user_id", "ada"),),
        traits={"name": '"Ada Lovelace"'},
        properties='{"total": 19.95}',
        author="Ada",
        text="Hello",
    ),
)
STATE: Final = a_state(
    ADA,
    version=NOON + 120,
    identifiers=(known("email", "ada@example.com"), known("user_id", "ada")),
    traits={
        "name": Trait(
            value='"Ada Lovelace"', source="demo", event_id="signup-1", occurred_at=NOON - 60_000
        )
    },
    consent={
        "newsletter": Consent(
            granted=True, source="demo", event_id="signup-1", occurred_at=NOON - 60_000
        )
    },
    metrics=Metrics(
        events=2,
        by_family={"demographic": 1, "transactional": 1},
        orders=1,
        items=1,
        money={"EUR": CurrencyTotals(placed=1995)},
        first_seen_at=NOON - 60_000,
        last_seen_at=NOON,
        days={"2026-01-01": 2},
        order_days={"2026-01-01": OrderDay(orders=1, placed={"EUR": 1995})},
        uniques={"days": 1, "orders": 1, "products": 1},
    ),
    things=(
        OpenThing(
            kind="order",
            ref="o-1001",
            state="placed",
            occurred_at=NOON,
            event_id="order-1",
            amount=1995,
            currency="EUR",
        ),
    ),
    timeline=(
        TimelineEntry(
            occurred_at=NOON,
            event_id="order-1",
            source="demo",
            family="transactional",
            name="Order Completed",
            ref="o-1001",
        ),
        TimelineEntry(
            occurred_at=NOON - 60_000,
            event_id="signup-1",
            source="demo",
            family="demographic",
            name="Identified",
        ),
    ),
    sets={"products": {"BK-1": NOON}},
    accounts={
        "acme": Membership(
            role="buyer",
            since=NOON - 60_000,
            last_seen_at=NOON,
            source="demo",
            event_id="group-1",
        )
    },
    first_touch=Touch(
        occurred_at=NOON - 60_000,
        event_id="signup-1",
        source="demo",
        values={"utm_source": "letter"},
    ),
    digest="4f1c",
)
_ENDPOINT: Final = Endpoint(key=_KEY, type="user_id", first_seen_at=NOON, first_event_id="order-1")
EVIDENCE: Final = Evidence(
    workspace=WORKSPACE,
    kind=EvidenceKind.LINK,
    link=Link(
        a=_ENDPOINT,
        b=_ENDPOINT,
        occurred_at=NOON,
        event_id="order-1",
        source="demo",
        rule="identify",
    ),
)
ACCOUNT: Final = AccountState(
    workspace=WORKSPACE,
    account_id="acme",
    version=NOON,
    parent="acme-group",
    subsidiaries=("acme-uk",),
    subsidiary_count=1,
    members=(
        AccountMember(
            customer_id=ADA,
            role="buyer",
            since=NOON - 60_000,
            last_seen_at=NOON,
            source="demo",
            event_id="group-1",
        ),
    ),
    member_count=1,
    traits={
        "name": Trait(value='"Acme"', source="demo", event_id="group-1", occurred_at=NOON - 60_000)
    },
    metrics=STATE.metrics,
    things=STATE.things,
    timeline=(
        AccountEntry(
            occurred_at=NOON,
            event_id="order-1",
            source="demo",
            family="transactional",
            name="Order Completed",
            ref="o-1001",
            customer_id=ADA,
        ),
    ),
    digest="5a1d",
)
DEAD_LETTER: Final = DeadLetter(
    workspace=WORKSPACE,
    source="demo",
    stage="resolve",
    reason="undecodable",
    detail="not an event",
    origin=Origin(topic="events.social", partition=0, offset=7),
    failed_at=NOON,
    key=b"default/k",
    value=b"\x00garbage",
)

# By the name of their schema.
ALL: Final[dict[str, msgspec.Struct]] = {
    "event": EVENT,
    "resolved_event": ResolvedEvent(event=EVENT, customer_id=ADA, assignment_version=0),
    "customer_state": STATE,
    "account_state": ACCOUNT,
    "evidence": EVIDENCE,
    "assignment": an_assignment("email", "ada@example.com", ADA),
    "identity_link": IdentityLink(
        workspace=WORKSPACE,
        a=_KEY,
        b="other",
        version=NOON,
        a_type="user_id",
        b_type="email",
        strength=2,
        occurred_at=NOON,
        event_id="order-1",
        source="demo",
        rule="identify",
    ),
    "identity_change": IdentityChange(
        workspace=WORKSPACE,
        change_id="split-1",
        version=NOON,
        kind="split",
        on=True,
        left=(_KEY,),
        right=("other",),
        by="ada",
        why="two people",
        made_at=NOON,
    ),
    "dead_letter": DEAD_LETTER,
}


def row(event: Event, **facts: Any) -> dict[str, Any]:
    """The event as the API's query answers it, with the columns that it asks by."""
    order, message, personal = event.order, event.message, event.personal or Personal()
    return {
        "workspace": event.workspace,
        "identifier_key": event.identifier_keys[0],
        "event_id": event.event_id,
        "source": event.source,
        "family": event.family.value,
        "kind": event.kind,
        "name": event.name,
        "occurred_ms": event.occurred_at,
        "received_ms": event.received_at,
        "account_id": event.account_id or "",
        "order_id": order.order_id if order else "",
        "order_action": order.action.value if order else "",
        "amount": order.total.amount if order else None,
        "currency": order.total.currency if order else "",
        "lines": [msgspec.structs.asdict(line) for line in order.lines] if order else [],
        "channel": message.channel if message else "",
        "direction": message.direction.value if message else "",
        "conversation_id": message.conversation_id if message else "",
        "author": personal.author or "",
        "text": personal.text or "",
        "traits": {name: msgspec.json.decode(text) for name, text in personal.traits.items()},
        "properties": personal.properties,
        "context": personal.context,
        "enrichment": {},
    } | facts
