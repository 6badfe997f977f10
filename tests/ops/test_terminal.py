"""What came from outside cannot steer the operator's terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.ops.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("abc\u202edcba", r"abc\u202edcba"),
        ("Ada Løvelace 日本 👩‍👩‍👧", "Ada Løvelace 日本 👩‍👩‍👧"),
    ],
)
def test_controls_are_written_out_and_letters_stay(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert not any(unicodedata.category(sign) == "Cc" for sign in printable(text))


@given(st.text())
def test_line_breaks_stay_where_asked(text: str) -> None:
    shown = printable(text, lines=True)
    assert shown.count("\n") == text.count("\n")
    assert printable(shown, lines=True) == shown
