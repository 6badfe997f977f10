"""The rules of a workspace: from its configuration, as text, and what of it is refused."""

from __future__ import annotations

import msgspec
import pytest

from customeros.processors.configured import rules_of
from customeros.processors.identity.rules import (
    MAX_BLOCKED,
    Rules,
    rules_from,
    text_of,
)
from customeros.runtime.config import parse_rules
from customeros.schemas.identifier import (
    IdentifierRules,
    IdentifierType,
)
from customeros.schemas.identity import STRENGTHS, Strength
from support.identity import Graph, link

TOML = """
[workspaces.shop]
members = 200

[workspaces.shop.strengths]
seen_screen = 0

[workspaces.shop.sources.kiosk.strengths]
seen_page = 0

[workspaces.shop.identifiers.email]
limit = 3

[workspaces.shop.blocked]
values = ["desk@hotel.example"]
patterns = ["^walk-in"]
"""
KIOSK = rules_of(parse_rules(TOML, name="customeros.toml")["shop"])


def test_what_the_configuration_says_is_what_the_rules_are() -> None:
    assert KIOSK.strength_of("seen_screen", "web") is Strength.SUGGESTED
    assert KIOSK.strength_of("seen_page", "kiosk") is Strength.SUGGESTED
    assert KIOSK.strength_of("seen_page", "web") is Strength.SEEN_TOGETHER
    assert KIOSK.strength_of("identify", "kiosk") is Strength.LOGIN
    assert (KIOSK.members, KIOSK.limit("email"), KIOSK.limit("user_id")) == (200, 3, 1)
    assert KIOSK.strengths.keys() == STRENGTHS.keys()


def test_page_views_of_the_kiosk_only_suggest() -> None:
    """Who has looked at the kiosk beside somebody is nobody's customer for it; a log-in is."""
    graph = Graph(KIOSK)

    graph.tell(
        link("u1", "d1", 1, rule="seen_page", source="kiosk"),
        link("u2", "d1", 2, rule="seen_page", source="kiosk"),
        link("e1", "a1", 3, rule="seen_page", source="web"),
    )
    assert not graph.together("u1", "d1")
    assert graph.together("e1", "a1")
    graph.tell(link("u2", "d1", 9, rule="identify", source="kiosk"))

    assert graph.together("u2", "d1")
    assert not graph.together("u1", "d1")


def test_who_only_suggests_does_not_wear_out_an_identifier() -> None:
    """A thousand people pass the kiosk; it is still the device of the one who logs in."""
    graph = Graph(KIOSK)
    graph.tell([link(f"a{n}", "d1", n, rule="seen_page", source="kiosk") for n in range(1_000)])
    kiosk = graph.stored["d1"]

    graph.tell(link("u1", "d1", 9_999, rule="identify", source="kiosk"))

    assert (kiosk.quarantined, kiosk.neighbours, kiosk.more) == (False, (), True)
    assert len(kiosk.weak) == 100
    assert graph.together("u1", "d1")


def test_text_says_the_rules_and_equal_rules_are_equal_text() -> None:
    again = rules_from(text_of(KIOSK), "shop")

    assert again == KIOSK
    assert text_of(again) == text_of(KIOSK)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Rules(workspace="other"), "another workspace"),
        (Rules(workspace="shop", strengths={"seen_pages": Strength.LOGIN}), "'seen_pages'"),
        (Rules(workspace="shop", sources={"web": {"login": Strength.LOGIN}}), "'login'"),
        (Rules(workspace="shop", members=0), "members"),
        (Rules(workspace="shop", blocked=frozenset(map(str, range(MAX_BLOCKED + 1)))), "blocked"),
        *(
            (Rules(workspace="shop", identifiers=IdentifierRules(types={name: kind})), told)
            for name, kind, told in (
                ("No Type", IdentifierType(), "type that is none"),
                ("card", IdentifierType(normaliser="upper"), "normaliser"),
                ("card", IdentifierType(limit=0), "limit"),
                ("card", IdentifierType(degree=9_999), "degree"),
            )
        ),
    ],
)
def test_text_that_says_what_nobody_knows_is_refused(wrong: Rules, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rules_from(text_of(wrong), "shop")


@pytest.mark.parametrize("text", ["{", "[]", '{"workspace": "shop", "limits": {}}'])
def test_text_that_is_no_rules_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        rules_from(text, "shop")


def test_strengths_beyond_three_are_refused() -> None:
    text = msgspec.json.encode({"workspace": "shop", "strengths": {"alias": 4}}).decode()

    with pytest.raises(ValueError, match="cannot be read"):
        rules_from(text, "shop")
