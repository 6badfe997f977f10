"""Which given names are one name, and how a name sounds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from nicknames import NickNamer

_CODES: Final = {
    letter: code
    for letters, code in (
        ("bfpvw", "1"), ("cgjkqsxz", "2"), ("dt", "3"), ("l", "4"), ("mn", "5"), ("r", "6"),
    )
    for letter in letters
}  # fmt: skip
_SPELT: Final = (("ph", "f"), ("sch", "s"), ("ck", "k"), ("th", "t"), ("wr", "r"), ("kn", "n"))


def same_name(a: str, b: str) -> bool:
    """Whether one is the short, pet or foreign form of the other, as far as the table knows."""
    table = _forms()
    return b in table.get(a, ()) or a in table.get(b, ())


@cache
def sound(name: str) -> str:
    """A code that is equal for names that sound alike: soundex with common spellings evened."""
    for spelt, heard in _SPELT:
        name = name.replace(spelt, heard)
    letters = [c for c in name if c.isalpha()]
    if not letters:
        return name
    codes: list[str] = []
    last = ""
    for letter in letters:
        code = _CODES.get(letter, "")
        if code and code != last:
            codes.append(code)
        if letter not in "hw":
            last = code
    first = _CODES.get(letters[0], "0")
    return (first + "".join(codes[1:] if codes and codes[0] == first else codes))[:4]


@cache
def _forms() -> Mapping[str, frozenset[str]]:
    return {name: frozenset(forms) for name, forms in NickNamer().nickname_lookup.items()}
