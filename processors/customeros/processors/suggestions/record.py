"""What is compared: one customer's name, birth date, address and contacts, tidied."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

MAX_VALUES: Final = 5  # of one field; more tell nothing new and would be compared each with each
MAX_CHARACTERS: Final = 120

# Names under which sources send a trait, by the field that it becomes; the first present counts.
TRAITS: Final[Mapping[str, tuple[str, ...]]] = {
    "given": ("given_name", "firstName", "first_name", "firstname", "givenName"),
    "surname": ("surname", "lastName", "last_name", "lastname", "family_name", "familyName"),
    "born": ("birthday", "birth_date", "birthDate", "date_of_birth", "dateOfBirth", "dob"),
    "number": ("street_number", "house_number"),
    "street": ("street", "address_1", "address1", "address_line_1"),
    "district": ("address_2", "address2", "address_line_2", "district"),
    "city": ("city", "suburb", "town", "locality"),
    "postcode": ("postcode", "postalCode", "postal_code", "zip"),
    "region": ("state", "region", "province"),
    "email": ("email",),
    "phone": ("phone", "mobile", "telephone"),
    "company": ("company", "organization", "organisation", "employer"),
}
_WHOLE_NAME: Final = ("name", "fullName", "full_name")
_ADDRESS: Final = ("address",)
_NO_WORD = re.compile(r"[^\w]+")
_NO_DIGIT = re.compile(r"\D+")
_ISO_DATE = re.compile(r"^(\d{4})-?(\d{2})-?(\d{2})")
_TITLES: Final = frozenset({"mr", "mrs", "ms", "miss", "dr", "prof", "sir", "herr", "frau"})


class Record(NamedTuple):
    """
    Args:
        key: names the customer; unique among the records compared.
        values: field to its tidied values, sorted; absent or empty: not known.
    """

    key: str
    values: Mapping[str, tuple[str, ...]]


def record(key: str, fields: Mapping[str, str | Iterable[str] | None]) -> Record:
    """A record of fields as they came; see `TRAITS` for their names, `related` is one more."""
    values: dict[str, tuple[str, ...]] = {}
    for name, given in fields.items():
        several = (given,) if isinstance(given, str) else tuple(given or ())
        found = sorted({tidied for one in several if (tidied := tidy(name, one))})
        if found:
            values[name] = tuple(found if name == "related" else found[:MAX_VALUES])
    return Record(key, values)


def text_of(one: Record) -> str:
    """All values in one string; equal beginnings are alike."""
    order = ("surname", "given", "born", "city", "company", "street", "email", "phone")
    return "|".join(" ".join(one.values.get(name, ())) for name in order)


def record_of_traits(
    key: str,
    traits: Mapping[str, object],
    *,
    emails: Iterable[str] = (),
    phones: Iterable[str] = (),
) -> Record:
    """
    The record of a customer: decoded traits under the names that sources use, and identifiers.

    Where given name and surname are not told apart, `name` is split at its last word.
    """
    flat: dict[str, object] = dict(traits)
    for name in _ADDRESS:
        if isinstance(inner := traits.get(name), Mapping):
            flat = {**{str(k): v for k, v in inner.items()}, **flat}
    fields: dict[str, str | Iterable[str] | None] = {
        field: text
        for field, names in TRAITS.items()
        if (text := next((t for n in names if (t := _text(flat.get(n)))), None)) is not None
    }
    if "given" not in fields and "surname" not in fields:
        whole = next((t for n in _WHOLE_NAME if (t := _text(flat.get(n)))), "")
        words = [w for w in whole.split() if _plain(w) not in _TITLES]
        if len(words) > 1:
            fields["given"], fields["surname"] = " ".join(words[:-1]), words[-1]
    for name, more in (("email", emails), ("phone", phones)):
        own = fields.get(name)
        fields[name] = [*more, *([own] if isinstance(own, str) else [])]
    return record(key, fields)


def tidy(field: str, text: str) -> str:
    """The comparable form of a value; empty where it says nothing."""
    if field == "born":
        dated = _ISO_DATE.match(text.strip())
        return "".join(dated.groups()) if dated else ""
    if field == "phone":
        digits = _NO_DIGIT.sub("", text)
        return digits if len(digits) >= 6 else ""
    if field == "email":
        return text.strip().lower() if "@" in text else ""
    return _plain(text)[:MAX_CHARACTERS]


def _plain(text: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _NO_WORD.sub(" ", bare.casefold()).strip()


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        value = value.get("name")  # {"company": {"name": …}} as the tracking API has it
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
