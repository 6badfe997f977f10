"""What of a text that came from outside may reach a terminal?"""

from __future__ import annotations

import re
from typing import Final

# Controls could move the cursor or retitle the operator's terminal; marks of direction could make
# one value read as another.
_SUSPECT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str, *, lines: bool = False) -> str:
    r"""
    The text with what is not to be seen written out, such as `\x1b` for an escape.

    Args:
        lines: line breaks and tabs stay.
    """

    def written_out(found: re.Match[str]) -> str:
        sign = found[0]
        return sign if lines and sign in "\n\t" else sign.encode("unicode_escape").decode()

    return _SUSPECT.sub(written_out, text)
