"""One way a customer is known: a type and a value, written `email:ada@example.com`."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NewType

import msgspec
import phonenumbers

# The keyed hash of an identifier: what Kafka keys and the identity graph hold instead of a value.
IdentifierKey = NewType("IdentifierKey", str)
CustomerId = NewType("CustomerId", str)

KEY_CHARACTERS: Final = 20  # of base32: 100 bits, so a collision needs some 10^15 identifiers
MAX_VALUE_CHARACTERS: Final = 256
# Of its neighbours an identifier's record holds one more than its degree, each with its evidence:
# 500 stay within 256 kB.
MAX_DEGREE: Final = 500
# Of one customer: its state and a look at all of its evidence stay within a batch's time.
MAX_MEMBERS: Final = 1_000

BLOCKED_VALUES: Final = frozenset(
    {
        "anonymous",
        "guest",
        "distinct_id",
        "distinctid",
        "id",
        "not_authenticated",
        "email",
        "undefined",
        "null",
        "none",
        "nil",
        "nan",
        "true",
        "false",
        "0",
        "-1",
        "unknown",
        "n/a",
        "test@test.com",
        "test@example.com",
        "user@example.com",
        "email@example.com",
        "example@example.com",
        "name@example.com",
        "",
        "[object object]",
    }
)
_BASE32_PAIRS: Final = tuple(
    a + b for a in "abcdefghijklmnopqrstuvwxyz234567" for b in "abcdefghijklmnopqrstuvwxyz234567"
)
_ALL_ZERO = re.compile(r"^[0\-.:]+$")
_ROLE_MAILBOX = re.compile(
    r"^(no-?reply|do-?not-?reply|postmaster|mailer-daemon|abuse|hostmaster|webmaster)@"
)
# Control characters, and halves of pairs that UTF-8 cannot hold.
_UNWRITABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
_EMAIL = re.compile(r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+$")
_ALIKE: Final = 0.8  # `emial`, `user-id`, `phones`; not `fax_email`
_TYPE = re.compile(r"^[a-z][a-z0-9_.-]{0,63}(:[A-Za-z0-9_.-]{1,64})?$")


class Identifier(msgspec.Struct, frozen=True, order=True):
    """`type` is one of `IdentifierRules.types` or an outside system; `value` is normalised."""

    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


class IdentifierType(msgspec.Struct, frozen=True, kw_only=True):
    """
    How one type of identifier is treated.

    Args:
        normaliser: a name in `NORMALISERS`.
        limit: identifiers of this type that one customer may have; None: any number.
        degree: links an identifier of this type may have before it is quarantined.
        priority: the lowest present in an event is its primary identifier.
    """

    normaliser: str = "exact"
    limit: int | None = None
    degree: int = 50
    priority: int = 20


BUILT_IN_TYPES: Final[Mapping[str, IdentifierType]] = {
    "user_id": IdentifierType(limit=1, degree=500, priority=0),
    "email": IdentifierType(normaliser="email", limit=10, degree=50, priority=30),
    "phone": IdentifierType(normaliser="phone", limit=10, degree=50, priority=40),
    "whatsapp_id": IdentifierType(limit=5, degree=50, priority=45),
    "anonymous_id": IdentifierType(degree=20, priority=50),
    "device_id": IdentifierType(degree=30, priority=60),
}
# Ids of outside systems rank after the user id and before mail: they name an account.
OTHER_SYSTEM: Final = IdentifierType(limit=5, degree=50, priority=10)


class IdentifierRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace holds to be an identifier; the defaults need no configuration."""

    types: Mapping[str, IdentifierType] = msgspec.field(default_factory=lambda: BUILT_IN_TYPES)
    blocked_values: frozenset[str] = frozenset()
    blocked_patterns: tuple[str, ...] = ()
    default_region: str | None = None  # ISO 3166 of phone numbers written without +; None: refuse

    def type_of(self, name: str) -> IdentifierType:
        """The rules of type *name*; `system:account` falls back to `system`, then to defaults."""
        return self.types.get(name) or self.types.get(name.partition(":")[0]) or OTHER_SYSTEM


DEFAULT_RULES: Final = IdentifierRules()


def parse_identifier(text: str, rules: IdentifierRules = DEFAULT_RULES) -> Identifier:
    """
    Read `type:value` or `system:account:value`, value as written (not normalised).

    A declared type wins over a guess: `user_id:a:b` is type `user_id`, value `a:b`.

    Raises:
        ValueError: there is no type or no value.
    """
    parts = text.split(":")
    for cut in (2, 1):
        declared, value = ":".join(parts[:cut]), ":".join(parts[cut:])
        if value and declared in rules.types:
            return Identifier(declared, value)
    cut = 2 if len(parts) > 2 else 1
    kind, value = ":".join(parts[:cut]), ":".join(parts[cut:])
    if not value or not is_type(kind):
        raise ValueError("an identifier is written type:value, such as email:ada@example.com")
    return Identifier(kind, value)


def is_type(name: str) -> bool:
    """Whether *name* can be a type: `system` or `system:account`."""
    return _TYPE.match(name) is not None


def meant_type(name: str, known: Iterable[str]) -> str | None:
    """The one of *known* types that *name*, which is none of them, looks like a slip of."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
    return near[0] if near and near[0] != name else None


def normalise(
    kind: str, value: object, rules: IdentifierRules = DEFAULT_RULES
) -> Identifier | None:
    """
    The identifier in the one form that all sources share, or None where *value* names nobody.

    None for absent (null, empty), blocked, malformed and over-long values. Numbers are read as
    their decimal text, since SDKs send ids as numbers.
    """
    text = _text(value)
    if text is None or len(text) > MAX_VALUE_CHARACTERS or is_blocked(text, rules):
        return None
    normal = NORMALISERS[rules.type_of(kind).normaliser](text, rules)
    if normal is None or is_blocked(normal, rules):
        return None
    return Identifier(kind, normal)


def is_blocked(value: str, rules: IdentifierRules = DEFAULT_RULES) -> bool:
    """Whether *value* is what software writes when it does not know: `null`, `[object Object]`."""
    bare = value.strip().strip("\"'`").strip().lower()
    return (
        bare in BLOCKED_VALUES
        or bare in rules.blocked_values
        or _ALL_ZERO.match(bare) is not None
        or _ROLE_MAILBOX.match(bare) is not None
        or any(re.search(pattern, bare) for pattern in rules.blocked_patterns)
    )


def identifier_key(workspace_key: bytes, identifier: Identifier) -> IdentifierKey:
    """The keyed hash that stands for *identifier* outside of its one personal record."""
    digest = hmac.digest(workspace_key, f"{identifier.type}|{identifier.value}".encode(), "sha256")
    return IdentifierKey(_base32(digest))


def customer_id(workspace: str, anchor: IdentifierKey, epoch: int = 0) -> CustomerId:
    """The id of the customer whose first-seen identifier is *anchor*, erased *epoch* times."""
    digest = hashlib.sha256(f"{workspace}|{anchor}|{epoch}".encode()).digest()
    return CustomerId("c" + _base32(digest))


def is_customer_id(text: str) -> bool:
    """Whether *text* has the form of a customer id (and so cannot be `type:value`)."""
    return re.fullmatch(r"c[a-z2-7]{20}", text) is not None


def _base32(digest: bytes) -> str:
    # Two characters at a time; Python's encoder takes four times as long.
    bits = int.from_bytes(digest[:13], "big") >> 4
    return "".join([_BASE32_PAIRS[bits >> shift & 1023] for shift in range(90, -10, -10)])


def _text(value: object) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    return None if not text or _UNWRITABLE.search(text) else text


def _exact(value: str, rules: IdentifierRules) -> str | None:
    return value


def _lower(value: str, rules: IdentifierRules) -> str | None:
    return value.lower()


def _email(value: str, rules: IdentifierRules) -> str | None:
    lowered = value.removeprefix("mailto:").lower()
    return lowered if _EMAIL.match(lowered) else None


def _phone(value: str, rules: IdentifierRules) -> str | None:
    try:
        number = phonenumbers.parse(value, rules.default_region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


NORMALISERS: Final[Mapping[str, Callable[[str, IdentifierRules], str | None]]] = {
    "exact": _exact,
    "lower": _lower,
    "email": _email,
    "phone": _phone,
}
