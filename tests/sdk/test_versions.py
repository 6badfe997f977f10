"""The version of a record is read without decoding it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customeros.schemas.codec import ASSIGNMENT, CUSTOMER_STATE, Undecodable
from customeros.schemas.identity import Assignment
from customeros.sdk.versions import version_of
from support.customers import a_state


@given(st.text(), st.text(), st.integers(-(2**63), 2**63 - 1))
def test_the_version_read_is_the_version_written(workspace: str, name: str, version: int) -> None:
    """For both compacted topics, whatever stands before it."""
    state = a_state(name, workspace=workspace, version=version)
    assignment = Assignment(
        workspace=workspace,
        key=name,
        type="email",
        customer_id=name,
        version=version,
        epoch=0,
        cause="",
    )

    assert version_of(CUSTOMER_STATE.encode(state)) == version
    assert version_of(ASSIGNMENT.encode(assignment)) == version


@given(st.binary(max_size=64))
def test_any_other_bytes_are_undecodable_or_a_number(data: bytes) -> None:
    """Garbage raises nothing but `Undecodable`."""
    with contextlib.suppress(Undecodable):
        assert isinstance(version_of(b"\x00\x00\x00\x1b\x5b" + data), int)
    with contextlib.suppress(Undecodable):
        assert isinstance(version_of(data), int)


def test_a_schema_without_a_version_is_refused() -> None:
    """An event is not something that a newer one replaces."""
    with pytest.raises(Undecodable, match="no version"):
        version_of(b"\x00\x00\x00\x1b\x59")
