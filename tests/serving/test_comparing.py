"""The process that compares: from the topic to suggestions, and how it ends."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from customeros.runtime.errors import Unavailable
from customeros.runtime.settings import Kafka, Settings
from customeros.schemas.customer import CustomerState, Trait
from customeros.schemas.topics import CUSTOMER_STATE
from customeros.serving.identity.comparing import Compared, Comparing
from support.customers import (
    NOON,
    WORKSPACE,
    a_state,
    create_topic,
    known,
    own_id,
    produce,
    state_record,
)

pytestmark = pytest.mark.integration


def born(name: str, phone: str, workspace: str = WORKSPACE) -> CustomerState:
    traits = {
        trait: Trait(value=json.dumps(value), source="shop", event_id="e", occurred_at=NOON)
        for trait, value in {"name": name, "birthday": "1984-07-23"}.items()
    }
    return a_state(
        own_id("phone", phone),
        workspace=workspace,
        identifiers=(known("phone", phone),),
        traits=traits,
    )


@pytest.fixture
def comparing(kafka_bootstrap: str, unique: str, tmp_path: Path) -> Comparing:
    return Comparing(
        Settings(home=tmp_path, kafka=Kafka(bootstrap=kafka_bootstrap, topic_prefix=unique))
    )


def test_customers_of_one_workspace_are_compared_as_the_topic_has_them(
    comparing: Comparing, kafka_bootstrap: str, unique: str
) -> None:
    topic = unique + CUSTOMER_STATE.name
    create_topic(kafka_bootstrap, topic)
    jon, john = born("Jon Whitfield", "+447700900123"), born("John Whitfield", "+447700900132")
    elsewhere = born("John Whitfield", "+447700900123", workspace="other")
    produce(kafka_bootstrap, topic, [state_record(one) for one in (jon, john, elsewhere)])

    found = comparing(WORKSPACE, None)

    (one,) = found.suggestions
    assert found.customers == 2
    assert {one.a, one.b} == {jon.customer_id, john.customer_id}
    assert "same birth date" in one.reasons
    assert comparing(WORKSPACE, "matching") == Compared(0, [])


def test_one_that_is_stopped_ends_at_once(comparing: Comparing) -> None:
    """It would wait for its topic for ever."""
    ended = threading.Event()

    def ask() -> None:
        with pytest.raises(Unavailable):
            comparing(WORKSPACE, None)
        ended.set()

    waiting = threading.Thread(target=ask)
    waiting.start()
    comparing.stop()
    waiting.join(60)

    assert ended.is_set()
