"""Derived facts: few, right, and never telling who somebody is."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.processors.enrichment.context import enrich, page, touch
from customeros.schemas.identifier import Identifier
from support.histories import ADA, an_event

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
PARTS = ("page", "campaign", "userAgentData", "locale", "timezone", "library", "brands")


def facts(context: Any, *identifiers: Identifier) -> dict[str, str]:
    return enrich(an_event("e1", identifiers or (ADA,), context=json.dumps(context)))


def test_a_browser_s_context_tells_where_it_came_from() -> None:
    """As `@segment/analytics-next` sends it."""
    context = {
        "page": {
            "url": "https://Shop.example:8443/books/1?utm_source=mail#top",
            "path": "/books/1",
            "search": "?utm_source=mail&utm_campaign=spring%20sale",
            "referrer": "https://ada:secret@search.example/q?ada@example.com",
        },
        "userAgentData": {
            "brands": [
                {"brand": "Not;A=Brand", "version": "8"},
                {"brand": "Chromium", "version": "138"},
                {"brand": "Google Chrome", "version": "138"},
            ],
            "mobile": False,
            "platform": "Linux",
        },
        "locale": "pt-BR",
        "timezone": "America/Sao_Paulo",
        "library": {"name": "analytics.js", "version": "next"},
    }

    assert facts(context) == {
        "campaign_source": "mail",
        "campaign_name": "spring sale",
        "referrer_host": "search.example",
        "page_host": "shop.example",
        "language": "pt",
        "timezone": "America/Sao_Paulo",
        "browser": "Google Chrome",
        "platform": "Linux",
        "device": "desktop",
        "library": "analytics.js",
    }


def test_the_campaign_that_the_sdk_read_wins_over_the_page_s_query() -> None:
    """Segment's parts of a campaign have names of their own."""
    context = {"campaign": {"source": "mail", "name": "a"}, "page": {"search": "?utm_source=b"}}

    assert facts(context) == {"campaign_source": "mail", "campaign_name": "a"}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://shop.example", "shop.example"),
        ("https://SHOP.example?q", "shop.example"),
        ("android-app://com.example.reader/x", "com.example.reader"),
        ("http://user:pass@shop.example/", "shop.example"),
        ("http://127.0.0.1:8000/", "127.0.0.1"),
        ("shop.example/path", None),
        ("mailto:ada@example.com", None),
        ("https://ada@example.com:x@", None),
        ("https://", None),
        ("https:///ada@example.com", None),
        (17, None),
    ],
)
def test_of_an_address_only_the_host_is_taken(url: object, host: str | None) -> None:
    """Paths, queries and names before an `@` may say who somebody is."""
    assert facts({"page": {"url": url}}).get("page_host") == host


def test_one_s_own_page_is_no_referrer() -> None:
    """Going from page to page of a shop brings nobody there."""
    page = {"url": "https://shop.example/b", "referrer": "https://shop.example/a"}

    assert touch(facts({"page": page})) is None


def test_a_touch_is_a_campaign_or_a_referrer() -> None:
    """The rest of what is derived does not say what brought somebody here."""
    context = {"campaign": {"medium": "cpc"}, "locale": "en"}

    assert touch(facts(context)) == {"campaign_medium": "cpc"}
    assert touch(facts({"locale": "en"})) is None


@pytest.mark.parametrize(
    ("mail", "kind"), [("ada@gmail.com", "personal"), ("ada@example.com", "company")]
)
def test_a_mail_address_tells_its_kind_only(mail: str, kind: str) -> None:
    """Neither the address nor its domain is derived."""
    assert facts({}, ADA, Identifier("email", mail)) == {"email_domain": kind}


@given(st.dictionaries(st.sampled_from(PARTS), JSON) | JSON)
def test_any_context_gives_short_texts(context: Any) -> None:
    """Of unexpected types, absent, nested: fewer facts, no error."""
    for value in facts(context).values():
        assert value
        assert len(value) <= 100


@pytest.mark.parametrize("context", ["", "{", "nonsense", '{"page":NaN}', "[" * 5000])
def test_a_context_that_is_no_json_tells_nothing(context: str) -> None:
    """What is broken is passed over; the event itself is kept."""
    assert enrich(an_event(context=context)) == {}


def test_an_erased_event_tells_nothing() -> None:
    """There is no personal part to derive from."""
    assert enrich(msgspec.structs.replace(an_event(), personal=None)) == {}


@pytest.mark.parametrize(
    ("properties", "context", "shown"),
    [
        ({"url": "https://Shop.example:8443/books/1?a=b#top"}, {}, "shop.example/books/1"),
        ({"url": "https://shop.example/x", "path": "/books/1"}, {}, "shop.example/books/1"),
        ({"url": "https://shop.example"}, {}, "shop.example"),
        ({"path": "/books"}, {}, "/books"),
        ({"name": "Home"}, {}, "Home"),
        ({"name": "Home"}, {"url": "https://shop.example/home"}, "shop.example/home"),
        ({"url": 7, "path": [], "name": {}}, {"url": None, "path": ""}, None),
    ],
)
def test_a_page_is_known_by_host_and_path_or_else_by_name(
    properties: dict[str, Any], context: dict[str, Any], shown: str | None
) -> None:
    """What comes after a question mark makes no other page."""
    event = an_event(kind="page", context=json.dumps({"page": context}))
    assert event.personal is not None
    personal = msgspec.structs.replace(event.personal, properties=json.dumps(properties))

    assert page(msgspec.structs.replace(event, personal=personal)) == shown


def test_only_page_and_screen_calls_show_a_page() -> None:
    """A browser sends its page with every event; that shows it no second time."""
    context = '{"page":{"path":"/books"}}'

    assert page(an_event(kind="screen", context=context)) == "/books"
    assert page(an_event(kind="track", context=context)) is None
    assert page(msgspec.structs.replace(an_event(kind="page"), personal=None)) is None


@given(st.dictionaries(st.sampled_from(("url", "path", "name", "page")), JSON) | JSON)
def test_any_page_is_told_or_passed_over(properties: Any) -> None:
    """No JSON makes it fail, and what is told can be written down."""
    told = json.dumps(properties)
    event = an_event(kind="page", context=told)
    assert event.personal is not None
    personal = msgspec.structs.replace(event.personal, properties=told)

    found = page(msgspec.structs.replace(event, personal=personal))

    assert found is None or found.encode()
