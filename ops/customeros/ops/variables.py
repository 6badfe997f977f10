"""Which variables of the environment mean to be settings and are none?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel

from customeros.runtime.settings import Settings

_PREFIX: Final = "CUSTOMEROS_"
_TESTS: Final = "CUSTOMEROS_TEST_"  # the test suite's own


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable with our prefix that no setting reads, with the nearest one."""
    known = sorted(_names(Settings, _PREFIX))
    strangers = sorted(
        name
        for name in environment
        if name.startswith(_PREFIX) and not name.startswith(_TESTS) and name not in known
    )
    return [_sentence(name, known) for name in strangers]


def _names(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        yield f"{prefix}{name.upper()}"  # a whole section may be given as JSON
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _names(inner, f"{prefix}{name.upper()}__")


def _sentence(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name} is no setting" + (f"; did you mean {close[0]}?" if close else "")
