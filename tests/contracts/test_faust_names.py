"""The pinned Faust and aiokafka still have the private names that batch delivery rests on."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import aiokafka
import pytest
from aiokafka.consumer.fetcher import Fetcher
from faust.transport.consumer import Consumer
from mode.utils.imports import symbol_by_name

from customeros.runtime.stream.faust_batches import (
    AIOKAFKA_ATTRIBUTES,
    CONSUMER_ATTRIBUTES,
    FETCHER_ATTRIBUTES,
    TOUCHED,
)


def test_faust_and_aiokafka_are_the_versions_that_were_tried() -> None:
    """A newer one waits until the fault tests pass with it: aiokafka has broken Faust thrice."""
    assert (version("faust-streaming"), version("aiokafka")) == ("0.15.3", "0.14.0")


@pytest.mark.parametrize(("owner", "names"), TOUCHED.items())
def test_overridden_methods_exist(owner: str, names: list[str]) -> None:
    found: object = symbol_by_name(owner)

    assert [name for name in names if not callable(getattr(found, name, None))] == []


def test_attributes_of_the_consumer_exist() -> None:
    assigned = inspect.getsource(Consumer.__init__)

    assert [name for name in CONSUMER_ATTRIBUTES if f"self.{name} =" not in assigned] == []


def test_attributes_of_aiokafkas_consumer_are_read_when_it_starts() -> None:
    """They are set between making and starting it."""
    starting = inspect.getsource(aiokafka.AIOKafkaConsumer.start)

    assert [name for name in AIOKAFKA_ATTRIBUTES if f"self.{name}" not in starting] == []


def test_attributes_of_aiokafkas_fetcher_are_read_for_each_request() -> None:
    """They are set while it runs."""
    asking = inspect.getsource(Fetcher._get_actions_per_node)

    assert [name for name in FETCHER_ATTRIBUTES if f"self.{name}" not in asking] == []
