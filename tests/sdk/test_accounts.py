"""What an application sees of organisations."""

from __future__ import annotations

from itertools import islice

import msgspec
import pytest

from customeros.schemas.account import AccountState, AccountStatus
from customeros.schemas.codec import ACCOUNT_STATE
from customeros.schemas.topics import topic_key
from customeros.sdk import AccountChange, AccountStates
from support import samples
from support.customers import create_topic, produce

pytestmark = pytest.mark.integration


def record(state: AccountState) -> tuple[bytes, bytes]:
    return topic_key(state.workspace, state.account_id), ACCOUNT_STATE.encode(state)


def test_organisations_are_found_by_id_and_followed(kafka_bootstrap: str, unique: str) -> None:
    """An older version never replaces a newer one; those of another workspace are not seen."""
    acme = samples.ACCOUNT
    older = msgspec.structs.replace(acme, version=acme.version - 1, member_count=7)
    gone = msgspec.structs.replace(acme, account_id="a/b", status=AccountStatus.DELETED)
    elsewhere = msgspec.structs.replace(acme, workspace="elsewhere")
    topic = f"{unique}account-state"
    create_topic(kafka_bootstrap, topic)
    produce(kafka_bootstrap, topic, map(record, (acme, older, gone, elsewhere)))

    with AccountStates(kafka_bootstrap, topic_prefix=unique) as accounts:
        assert accounts.wait_ready(30)
        assert accounts.get("acme") == acme
        assert accounts.get("a/b") == gone
        assert accounts.get("globex") is None
        assert list(accounts) == [acme]
        changes = accounts.changes(from_start=True)
        assert {change.account_id for change in islice(changes, 2)} == {"acme", "a/b"}
        produce(kafka_bootstrap, topic, [(b"default/a/b", None)])
        assert next(changes) == AccountChange("a/b", None)
