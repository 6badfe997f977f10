"""Rules go to customeros.toml and come back as they were."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from customeros.processors.configured import rules_of, toml_of
from customeros.processors.identity.rules import Rules
from customeros.runtime.config import parse_rules
from customeros.schemas.identifier import (
    BUILT_IN_TYPES,
    NORMALISERS,
    OTHER_SYSTEM,
    IdentifierRules,
    IdentifierType,
)
from customeros.schemas.identity import STRENGTHS, Strength

SHOP = Rules(workspace="shop")
STRENGTH_OF = st.dictionaries(st.sampled_from(sorted(STRENGTHS)), st.sampled_from(Strength))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9).map(
    lambda word: word.strip().lower()
)


@st.composite
def identifier_types(draw: st.DrawFn) -> Mapping[str, IdentifierType]:
    """Built-in types changed, and others with or without anything of their own."""
    found = dict(BUILT_IN_TYPES)
    names = st.sampled_from(["email", "device_id", "loyalty_card", "stripe:acct_1"])
    for name in draw(st.sets(names)):
        usual = BUILT_IN_TYPES.get(name, OTHER_SYSTEM)
        said = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "limit": st.integers(1, 9),
                    "degree": st.integers(1, 99),
                    "priority": st.integers(0, 99),
                    "normaliser": st.sampled_from(sorted(NORMALISERS)),
                },
            )
        )
        found[name] = msgspec.structs.replace(usual, **said)
    return found


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    identifiers = IdentifierRules(
        types=draw(identifier_types()),
        blocked_values=draw(st.frozensets(WORDS, max_size=3)),
        blocked_patterns=draw(st.sampled_from([(), ("^walk-in", 'a"b\\d+')])),
        default_region=draw(st.sampled_from([None, "DE"])),
    )
    sources = draw(st.dictionaries(st.sampled_from(["web", "kiosk"]), STRENGTH_OF))
    return Rules(
        workspace="shop",
        identifiers=identifiers,
        strengths={**STRENGTHS, **draw(STRENGTH_OF)},
        sources={name: own for name, own in sources.items() if own},
        members=draw(st.integers(1, 1000)),
    )


@given(rules())
def test_rules_come_back_from_their_text_as_they_were(said: Rules) -> None:
    """So an earlier version can be written to a file, changed, and adopted."""
    assert rules_of(parse_rules(toml_of(said), name="rules.toml")["shop"]) == said


def test_the_defaults_need_no_words() -> None:
    assert toml_of(SHOP) == "[workspaces.shop]\n"


def test_only_what_differs_is_written() -> None:
    said = msgspec.structs.replace(
        SHOP,
        strengths={**STRENGTHS, "seen_page": Strength.SUGGESTED},
        identifiers=IdentifierRules(
            types={**BUILT_IN_TYPES, "user_id": IdentifierType(limit=2, degree=500, priority=0)},
            blocked_values=frozenset({"walk-in"}),
        ),
    )

    assert toml_of(said).splitlines() == [
        "[workspaces.shop]",
        "",
        "[workspaces.shop.identifiers.user_id]",
        "limit = 2",
        "",
        "[workspaces.shop.strengths]",
        "seen_page = 0",
        "",
        "[workspaces.shop.blocked]",
        'values = ["walk-in"]',
    ]
