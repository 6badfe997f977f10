"""Identifiers have one form that all sources share, or none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.schemas.identifier import (
    BLOCKED_VALUES,
    BUILT_IN_TYPES,
    KEY_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Identifier,
    IdentifierKey,
    IdentifierRules,
    IdentifierType,
    customer_id,
    identifier_key,
    is_blocked,
    is_customer_id,
    is_type,
    normalise,
    parse_identifier,
)

TYPES = st.sampled_from([*BUILT_IN_TYPES, "stripe", "stripe:acct_1"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(kind=TYPES, value=JSON)
def test_any_json_value_is_an_identifier_or_nobody(kind: str, value: Any) -> None:
    found = normalise(kind, value)

    if found is not None:
        assert found.type == kind
        assert 0 < len(found.value) <= MAX_VALUE_CHARACTERS
        assert not is_blocked(found.value)
        found.value.encode()


@given(kind=TYPES, value=JSON | st.emails() | st.from_regex(r"\+44 ?20 ?79460\d{3}"))
def test_normalising_twice_is_once(kind: str, value: Any) -> None:
    once = normalise(kind, value)

    if once is not None:
        assert normalise(kind, once.value) == once


@given(kind=TYPES, value=st.text(max_size=40))
def test_what_is_written_is_parsed(kind: str, value: str) -> None:
    found = normalise(kind, value)

    if found is not None and (kind in BUILT_IN_TYPES or ":" in kind or ":" not in found.value):
        assert parse_identifier(str(found)) == found


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("email:ada@example.com", Identifier("email", "ada@example.com")),
        ("user_id:a:b", Identifier("user_id", "a:b")),
        ("stripe:acct_1:cus_9", Identifier("stripe:acct_1", "cus_9")),
        ("stripe:cus_9", Identifier("stripe", "cus_9")),
    ],
)
def test_a_declared_type_wins_over_a_guess(text: str, identifier: Identifier) -> None:
    assert parse_identifier(text) == identifier


@pytest.mark.parametrize("text", ["", "email", "email:", ":x", "E Mail:x", "ada@example.com"])
def test_what_names_no_type_and_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="type:value"):
        parse_identifier(text)


@pytest.mark.parametrize(
    ("kind", "value", "normal"),
    [
        ("email", " Ada@Example.COM ", "ada@example.com"),
        ("email", "mailto:ada@example.com", "ada@example.com"),
        ("email", "ada at example.com", None),
        ("email", "no-reply@example.com", None),
        ("phone", "+44 20 7946 0018", "+442079460018"),
        ("phone", "020 7946 0018", None),  # no region is configured
        ("user_id", 42, "42"),
        ("user_id", 42.0, "42"),
        ("user_id", 4.5, None),
        ("user_id", True, None),
        ("user_id", "Ada", "Ada"),
        ("user_id", "\ud800", None),
        ("user_id", "a\x00b", None),
        ("user_id", "x" * 257, None),
        ("user_id", ["a"], None),
        ("anonymous_id", "00000000-0000-0000-0000-000000000000", None),
    ],
)
def test_values_have_one_form(kind: str, value: Any, normal: str | None) -> None:
    found = normalise(kind, value)

    assert (found and found.value) == normal


def test_a_national_number_needs_its_region() -> None:
    rules = IdentifierRules(default_region="GB")

    assert normalise("phone", "020 7946 0018", rules) == Identifier("phone", "+442079460018")


@given(
    value=st.sampled_from(sorted(BLOCKED_VALUES)), dress=st.sampled_from(["{}", " '{}' ", '"{}"'])
)
def test_what_software_writes_when_it_does_not_know_is_blocked(value: str, dress: str) -> None:
    assert is_blocked(dress.format(value.upper()))
    assert normalise("user_id", dress.format(value)) is None


def test_a_workspace_blocks_values_and_patterns_of_its_own() -> None:
    rules = IdentifierRules(
        blocked_values=frozenset({"kiosk"}), blocked_patterns=(r"@test\.example$",)
    )

    assert normalise("user_id", "Kiosk", rules) is None
    assert normalise("email", "qa@test.example", rules) is None
    assert normalise("user_id", "kiosks", rules) is not None


@given(a=st.text(), b=st.text(), kind=TYPES)
def test_keys_differ_by_value_type_and_workspace(a: str, b: str, kind: str) -> None:
    first = identifier_key(b"one", Identifier(kind, a))

    assert len(first) == KEY_CHARACTERS
    assert (first == identifier_key(b"one", Identifier(kind, b))) == (a == b)
    assert first != identifier_key(b"two", Identifier(kind, a))
    assert first != identifier_key(b"one", Identifier(f"{kind}x", a))


@given(nid=st.text(max_size=20), epoch=st.integers(0, 3))
def test_a_customer_id_is_a_function_of_its_anchor(nid: str, epoch: int) -> None:
    found = customer_id("w", IdentifierKey(nid), epoch)

    assert is_customer_id(found)
    assert found == customer_id("w", IdentifierKey(nid), epoch)
    assert found != customer_id("w", IdentifierKey(nid), epoch + 1)
    assert found != customer_id("other", IdentifierKey(nid), epoch)


def test_the_rules_of_a_system_hold_for_its_accounts() -> None:
    stripe = IdentifierType(limit=1, priority=5)
    rules = IdentifierRules(types={**BUILT_IN_TYPES, "stripe": stripe})

    assert rules.type_of("stripe:acct_1") == stripe
    assert rules.type_of("hubspot").limit == 5


@pytest.mark.parametrize("name", ["Email", "", "a b", "1x", "a:", "a:b:c", "x" * 65])
def test_a_type_is_a_system_or_a_system_and_an_account(name: str) -> None:
    assert not is_type(name)
    assert is_type("stripe:acct_1")
