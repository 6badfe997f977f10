"""Hypothesis strategies for any struct of the platform, from its annotations."""

from __future__ import annotations

import enum
import types
import typing
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

LONGS = st.integers(-(2**63), 2**63 - 1) | st.integers(1_500_000_000_000, 2_500_000_000_000)
# What UTF-8 can hold: lone surrogates are kept out where events come in.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.just("x" * 5000)


_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: LONGS,
    str: TEXTS,
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    type(None): st.none(),
}


@cache
def a_value_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation; collections stay small."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case types.UnionType:
            return st.one_of([a_value_of(part) for part in arguments])
        case origin if origin is tuple:
            return st.lists(a_value_of(arguments[0]), max_size=3).map(tuple)
        case origin if origin is dict:
            return st.dictionaries(TEXTS, a_value_of(arguments[1]), max_size=3)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    assert issubclass(kind, msgspec.Struct), kind
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: a_value_of(hints[name]) for name in kind.__struct_fields__})
