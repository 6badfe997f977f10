"""Putting the shipped schemas into a real registry."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.schemas.codec import released_schemas
from customeros.serving.registry import register_schemas
from customeros.serving.registry.readonly import subjects
from support.registry import READWRITE, FakeRegistry, served


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def url(registry: FakeRegistry) -> Iterator[str]:
    with served(registry) as found:
        yield found


def test_every_schema_gets_the_id_that_its_records_carry(registry: FakeRegistry, url: str) -> None:
    """Under every public topic, and afterwards nobody else may give ids."""
    done = register_schemas(url, topic_prefix="blue.")

    assert {result.subject for result in done} == {subject for subject, _ in subjects("blue.")}
    assert all(result.new for result in done)
    held = {number for versions in registry.subjects.values() for number, _ in versions.values()}
    assert held == set(released_schemas())
    assert set(registry.modes.values()) == {READWRITE}
    assert set(registry.compatibility.values()) == {"BACKWARD_TRANSITIVE"}


def test_registering_twice_changes_nothing(registry: FakeRegistry, url: str) -> None:
    """The second time is only read."""
    register_schemas(url)
    writes = registry.writes

    assert not any(result.new for result in register_schemas(url))
    assert registry.writes == writes


def test_what_was_cut_short_is_completed(registry: FakeRegistry, url: str) -> None:
    """A subject that was lost, or never written, comes back beside those that are there."""
    register_schemas(url)
    del registry.subjects["customer-state-value"]

    done = register_schemas(url)

    assert [result.subject for result in done if result.new] == ["customer-state-value"]


def test_another_schema_under_our_name_stops_it(registry: FakeRegistry, url: str) -> None:
    """Nothing of others is overwritten; the sentence names the subject."""
    registry.subjects["customer-state-value"] = {1: (1, '"string"')}

    with pytest.raises(Misconfigured, match="customer-state-value version 1"):
        register_schemas(url)


def test_an_id_that_is_taken_stops_it(registry: FakeRegistry, url: str) -> None:
    """And the subject is left as it was: open for reading and writing."""
    registry.subjects["theirs-value"] = {1: (7003, '"string"')}

    with pytest.raises(Misconfigured, match="422"):
        register_schemas(url)
    assert set(registry.modes.values()) == {READWRITE}


def test_a_registry_that_hands_out_its_own_ids_is_refused(registry: FakeRegistry, url: str) -> None:
    """Records could not be read there."""
    registry.honours_import = False

    with pytest.raises(Misconfigured, match="IMPORT"):
        register_schemas(url)


def test_a_registry_that_is_away_is_unavailable() -> None:
    """Not a mistake of the operator's."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(Unavailable):
        register_schemas(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["", "localhost:8081", "ftp://localhost"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    """With the variable that holds it."""
    with pytest.raises(Misconfigured, match="CUSTOMEROS_REGISTRY__URL"):
        register_schemas(url)
