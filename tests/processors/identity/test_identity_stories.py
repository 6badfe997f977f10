"""What becomes of people who share things: told with the rules nobody had to configure."""

from __future__ import annotations

import msgspec

from customeros.processors.identity.rules import Rules, rule_of
from customeros.schemas.identity import Evidence, Refusal
from support.identity import WORKSPACE, Graph, link

RULES = Rules(workspace=WORKSPACE)
NAMES = {
    "ada": "user_id",
    "bob": "user_id",
    "ada@mail": "email",
    "bob@mail": "email",
    "info@shop": "email",
    "+49 30 1234": "phone",
    "laptop": "device_id",
    "visit 1": "anonymous_id",
    "visit 2": "anonymous_id",
    "visit 3": "anonymous_id",
}


def story() -> Graph:
    return Graph(RULES)


def event(kind: str, a: str, b: str, at: int) -> Evidence:
    """At *at*, an event of *kind* names *a* and *b*."""
    types = [NAMES.get(name, "user_id") for name in (a, b)]
    told = link("a", "u", at, rule=rule_of(kind, *types))
    assert told.link is not None
    ends = [
        msgspec.structs.replace(end, key=name, type=type_)
        for end, name, type_ in zip((told.link.a, told.link.b), (a, b), types, strict=True)
    ]
    return msgspec.structs.replace(
        told, link=msgspec.structs.replace(told.link, a=ends[0], b=ends[1])
    )


def test_what_someone_did_before_logging_in_is_theirs() -> None:
    """Two visits, then a log-in: one customer, under the id that the first visit had."""
    graph = story().tell(event("page", "visit 1", "laptop", 1))
    anonymous = graph.customers["visit 1"]

    graph.tell(event("identify", "ada", "visit 1", 2))

    assert graph.together("ada", "visit 1", "laptop")
    assert graph.customers["ada"] == anonymous


def test_a_late_log_in_does_not_take_over_what_another_did_on_the_same_visit() -> None:
    """Bob logs in where Ada had; the visit was hers first and stays hers."""
    graph = story().tell(event("identify", "ada", "visit 1", 1))

    graph.tell(event("identify", "bob", "visit 1", 2))

    assert graph.together("ada", "visit 1")
    assert not graph.together("bob", "visit 1")
    assert graph.conflicts["bob", "visit 1"].reason is Refusal.LIMIT


def test_the_first_log_in_keeps_the_visit_though_it_is_heard_of_last() -> None:
    graph = story().tell(event("identify", "bob", "visit 1", 2))

    graph.tell(event("identify", "ada", "visit 1", 1))

    assert graph.together("ada", "visit 1")
    assert not graph.together("bob", "visit 1")


def test_two_people_who_log_in_on_one_device_stay_two() -> None:
    """Each keeps the visits of their own; the device is with whom it was first seen."""
    graph = story().tell(
        event("identify", "ada", "visit 1", 1),
        event("track", "ada", "laptop", 2),
        event("identify", "bob", "visit 2", 3),
        event("track", "bob", "laptop", 4),
    )

    assert graph.together("ada", "visit 1", "laptop")
    assert graph.together("bob", "visit 2")
    assert not graph.together("ada", "bob")


def test_a_household_phone_does_not_make_one_customer_of_two() -> None:
    graph = story().tell(
        event("identify", "ada", "ada@mail", 1),
        event("identify", "bob", "bob@mail", 2),
        event("track", "ada@mail", "+49 30 1234", 3),
        event("track", "bob@mail", "+49 30 1234", 4),
    )

    assert graph.together("ada", "ada@mail", "+49 30 1234")
    assert graph.together("bob", "bob@mail")
    assert not graph.together("ada", "bob")


def test_a_couple_without_accounts_that_shares_a_phone_parts_when_they_log_in() -> None:
    """Until then nothing says that they are two; then what each did goes back to them."""
    graph = story().tell(
        event("track", "ada@mail", "+49 30 1234", 1), event("track", "bob@mail", "+49 30 1234", 2)
    )
    assert graph.together("ada@mail", "bob@mail")

    graph.tell(event("identify", "ada", "ada@mail", 3), event("identify", "bob", "bob@mail", 4))

    assert graph.together("ada", "ada@mail", "+49 30 1234")
    assert graph.together("bob", "bob@mail")
    assert not graph.together("ada", "bob")


def test_a_mailbox_that_many_use_joins_nobody() -> None:
    """Until it is known as such, limits keep accounts apart; then it is alone."""
    graph = story()
    for n in range(60):
        graph.tell(event("track", f"user {n}", "info@shop", n))
        graph.tell(event("identify", f"user {n}", f"visit of {n}", 100 + n))

    customers = {graph.customers[f"user {n}"] for n in range(60)}
    assert len(customers) == 60
    assert graph.customers["info@shop"] not in customers
    assert graph.refusals[Refusal.QUARANTINED] == 10


def test_an_alias_outweighs_what_was_only_seen_together() -> None:
    graph = story().tell(
        event("track", "ada", "visit 1", 1), event("track", "visit 1", "laptop", 2)
    )

    graph.tell(event("alias", "bob", "visit 1", 3))

    assert graph.together("bob", "visit 1", "laptop")
    assert not graph.together("ada", "bob")


def test_an_alias_does_not_make_one_account_of_two() -> None:
    graph = story().tell(event("alias", "ada", "visit 1", 1), event("alias", "bob", "visit 1", 2))

    assert not graph.together("ada", "bob")
