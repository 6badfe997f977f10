"""
What an event's context says in words that are the same for every source.

Derived facts are kept outside of an event's personal part, so nothing here may tell who somebody
is: hosts but no paths or addresses, the kind of a mail domain but not the domain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from customeros.schemas.event import Event
from customeros.schemas.identifier import Identifier

_CHARACTERS: Final = 100
_NO_CONTEXT: Final = "{}"
# Segment's names of a campaign's parts to their place in a URL.
_CAMPAIGN: Final = {
    "source": "utm_source",
    "medium": "utm_medium",
    "name": "utm_campaign",
    "term": "utm_term",
    "content": "utm_content",
}
_TOUCH: Final = (*(f"campaign_{part}" for part in _CAMPAIGN), "referrer_host")
# Where anyone can have a mailbox, so that the domain says nothing about an employer.
_PERSONAL_MAIL: Final = frozenset(
    """
    126.com 163.com aol.com fastmail.com free.fr gmail.com gmx.com gmx.de gmx.net googlemail.com
    hey.com hotmail.co.uk hotmail.com hotmail.fr icloud.com laposte.net libero.it live.com mac.com
    mail.com mail.ru me.com msn.com naver.com orange.fr outlook.com pm.me proton.me protonmail.com
    qq.com t-online.de tutanota.com wanadoo.fr web.de yahoo.co.uk yahoo.com yahoo.fr yandex.com
    yandex.ru ymail.com zoho.com
    """.split()  # noqa: SIM905 - a list would be forty lines
)
# After the scheme and a name and password, which are passed over, up to the port or the path.
_HOST: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@\\]*@)?([\w.-]+)(?::\d*)?(?=[/?#]|$)"
)
_AFTER_PATH: Final = re.compile(r"[?#]")
_SHOWING: Final = frozenset(("page", "screen"))


class _Context(msgspec.Struct, rename="camel"):
    """What is read of a context; all else in it is passed over."""

    page: Any = None
    campaign: Any = None
    user_agent_data: Any = None
    locale: Any = None
    timezone: Any = None
    library: Any = None


class _Properties(msgspec.Struct):
    """What is read of a page's properties."""

    url: Any = None
    path: Any = None
    name: Any = None


class _Read(NamedTuple):
    """What a context says; shared by whoever asks, so never to be changed."""

    facts: dict[str, str]
    page: Mapping[str, Any]


_context: Final = msgspec.json.Decoder(_Context).decode
_properties: Final = msgspec.json.Decoder(_Properties).decode


def enrich(event: Event) -> dict[str, str]:
    """
    Facts by name; a context that is not as expected gives fewer, never an error.

    Names: `campaign_source|medium|name|term|content`, `referrer_host`, `page_host`, `language`,
    `timezone`, `browser`, `platform`, `device` (`mobile`, `desktop`), `library`, `email_domain`
    (`personal`, `company`).
    """
    personal = event.personal
    if personal is None:
        return {}
    found = _of_text(personal.context).facts if personal.context != _NO_CONTEXT else {}
    kind = _mail_kind(personal.identifiers)
    return {**found, "email_domain": kind} if kind else found


def touch(enrichment: Mapping[str, str]) -> dict[str, str] | None:
    """The part that tells what brought somebody here, if there is any."""
    return {name: enrichment[name] for name in _TOUCH if name in enrichment} or None


def page(event: Event) -> str | None:
    """
    The page or screen that a `page` or `screen` call shows: host and path, or else its name.

    It may tell who somebody is, so it is no part of the enrichment.
    """
    personal = event.personal
    if event.kind not in _SHOWING or personal is None:
        return None
    try:
        told = _properties(personal.properties)
    except (msgspec.DecodeError, RecursionError):
        told = _Properties()
    around = _of_text(personal.context).page
    found = _address(told.url, told.path) or _address(around.get("url"), around.get("path"))
    if found:
        return found
    return told.name if isinstance(told.name, str) and told.name else None


# Contexts of one server or one page's visit are the same text; 8 MB if all are of 32 kB.
@lru_cache(maxsize=256)
def _of_text(text: str) -> _Read:
    try:
        context = _context(text)
    except (msgspec.DecodeError, RecursionError):
        context = _Context()
    page = _object(context.page)
    agent = _object(context.user_agent_data)
    page_host = _host(page.get("url"))
    referrer = _host(page.get("referrer"))
    mobile = agent.get("mobile")
    locale = context.locale
    facts = {}
    for name, value in (
        *_campaign(_object(context.campaign), page),
        ("referrer_host", referrer if referrer != page_host else None),
        ("page_host", page_host),
        ("language", _language(locale) if isinstance(locale, str) else None),
        ("timezone", context.timezone),
        ("browser", _browser(agent.get("brands"))),
        ("platform", agent.get("platform")),
        ("device", ("mobile" if mobile else "desktop") if isinstance(mobile, bool) else None),
        ("library", _object(context.library).get("name")),
    ):
        if value and isinstance(value, str) and value.isprintable():
            facts[name] = value[:_CHARACTERS]
    return _Read(facts, page)


def _campaign(campaign: Mapping[str, Any], page: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """As the SDK read it, or from the page's own query."""
    if campaign:
        return [(f"campaign_{part}", campaign.get(part)) for part in _CAMPAIGN]
    search = page.get("search")
    if not isinstance(search, str) or "utm_" not in search:
        return []
    try:
        query = parse_qs(search.removeprefix("?"), max_num_fields=100)
    except ValueError:
        return []
    return [
        (f"campaign_{part}", query[name][-1]) for part, name in _CAMPAIGN.items() if name in query
    ]


def _address(url: Any, path: Any) -> str | None:
    """Host and path; what comes after a question mark makes no other page."""
    if isinstance(path, str) and path:
        return (_host(url) or "") + path
    found = _HOST.match(url) if isinstance(url, str) else None
    if found is None:
        return None
    return found[1].lower() + _AFTER_PATH.split(found.string[found.end() :], maxsplit=1)[0]


def _host(url: Any) -> str | None:
    return _host_of(url) if isinstance(url, str) else None


# A site's pages, and where visitors come from, are the same again; 8 MB as above.
@lru_cache(maxsize=256)
def _host_of(url: str) -> str | None:
    found = _HOST.match(url)
    return found[1].lower() if found else None


@lru_cache(maxsize=256)
def _language(locale: str) -> str | None:
    """The ISO 639 code of `en-US` or `pt_BR`."""
    code = locale.replace("_", "-").partition("-")[0].lower()
    return code if code.isascii() and code.isalpha() and len(code) in {2, 3} else None


def _browser(brands: Any) -> str | None:
    """The most telling of a user agent's brands, which come with decoys and in any order."""
    if not isinstance(brands, list):
        return None
    names = [
        brand["brand"]
        for brand in brands
        if isinstance(brand, dict) and isinstance(brand.get("brand"), str)
    ]
    # "Not A(Brand", "Not/A)Brand", …: https://wicg.github.io/ua-client-hints/#grease
    real = [name for name in names if not ("Not" in name and "Brand" in name)]
    own = [name for name in real if name != "Chromium"]
    return min(own or real, default=None)


def _mail_kind(identifiers: Iterable[Identifier]) -> str | None:
    for identifier in identifiers:
        if identifier.type == "email":
            domain = identifier.value.rpartition("@")[2]
            return "personal" if domain in _PERSONAL_MAIL else "company"
    return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
