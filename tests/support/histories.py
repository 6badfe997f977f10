"""Events of a small world: few people, few names, few moments, so that collisions happen."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

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
)
from customeros.schemas.identifier import Identifier, identifier_key

WORKSPACE = "shop"
SECRET = b"a workspace key of the tests"
NOON = 1_699_963_200_000
MINUTE = 60_000
DAY = 86_400_000

TIMES = st.sampled_from([NOON + day * DAY + m * MINUTE for day in (-40, 0, 1) for m in (0, 0, 7)])
ADA = Identifier("user_id", "ada")


def key_of(identifier: Identifier) -> str:
    """The identifier's key in the tests' workspace."""
    return identifier_key(SECRET, identifier)


def an_event(
    event_id: str = "e1",
    identifiers: Sequence[Identifier] = (ADA,),
    *,
    occurred_at: int = NOON,
    source: str = "web",
    family: Family = Family.BEHAVIORAL,
    kind: str = "track",
    name: str = "Product Viewed",
    order: Order | None = None,
    message: Message | None = None,
    consent: tuple[ConsentDecision, ...] = (),
    traits: dict[str, str] | None = None,
    context: str = "{}",
    account_id: str | None = None,
    received_at: int = NOON,
) -> Event:
    """An event as the collector writes it."""
    return Event(
        workspace=WORKSPACE,
        source=source,
        event_id=event_id,
        family=family,
        kind=kind,
        name=name,
        occurred_at=occurred_at,
        received_at=received_at,
        identifier_keys=tuple(key_of(identifier) for identifier in identifiers),
        account_id=account_id,
        order=order,
        message=message,
        consent=consent,
        personal=Personal(identifiers=tuple(identifiers), traits=traits or {}, context=context),
    )


def an_order(
    amount: int = 1995,
    *,
    order_id: str = "o1",
    action: OrderAction = OrderAction.PLACED,
    currency: str = "EUR",
    products: Sequence[str] = ("book",),
) -> Order:
    """An order with one line for each product."""
    lines = tuple(OrderLine(product_id=product) for product in products)
    return Order(order_id=order_id, action=action, total=Money(amount, currency), lines=lines)


ORDERS = st.builds(
    an_order,
    st.integers(-500, 5000),
    order_id=st.sampled_from(("o1", "o2", "o3")),
    action=st.sampled_from(OrderAction),
    currency=st.sampled_from(("EUR", "JPY")),
    products=st.lists(st.sampled_from(("book", "pen")), max_size=2),
)
MESSAGES = st.builds(
    Message,
    channel=st.sampled_from(("whatsapp", "email")),
    direction=st.sampled_from(Direction),
    conversation_id=st.sampled_from(("t1", "t2")),
)
DECISIONS = st.lists(
    st.builds(ConsentDecision, st.sampled_from(("ads", "mail")), st.booleans()), max_size=2
).map(tuple)
TRAITS = st.dictionaries(
    st.sampled_from(("name", "city", "plan")),
    st.sampled_from(('"a"', '"b"', "null", '"' + "x" * 2000 + '"')),
    max_size=2,
)
CONTEXTS = st.sampled_from(
    (
        "{}",
        '{"campaign":{"name":"spring"}}',
        '{"page":{"referrer":"https://search.example/q","url":"https://shop.example/books"}}',
    )
)


@st.composite
def events_of(draw: st.DrawFn, identifiers: st.SearchStrategy[list[Identifier]]) -> Event:
    """Any event about *identifiers*; its id is "": `numbered` gives the ids."""
    order = draw(st.none() | ORDERS)
    message = None if order else draw(st.none() | MESSAGES)
    return an_event(
        "",
        draw(identifiers),
        occurred_at=draw(TIMES),
        source=draw(st.sampled_from(("web", "crm"))),
        family=draw(st.sampled_from(Family)),
        kind=draw(st.sampled_from(("track", "identify", "group", "alias", "page"))),
        name=draw(st.sampled_from(("Viewed", "Ticket Closed"))),
        order=order,
        message=message,
        consent=draw(DECISIONS),
        traits=draw(TRAITS),
        context=draw(CONTEXTS),
        account_id=draw(st.none() | st.just("acme")),
    )
