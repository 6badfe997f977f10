"""All organisations of a workspace, in the memory of an application and never behind by much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

from customeros.schemas.account import AccountState, AccountStatus
from customeros.schemas.codec import ACCOUNT_STATE
from customeros.schemas.topics import ACCOUNT_STATE as STATES
from customeros.schemas.topics import topic_key
from customeros.sdk.livecopy import LiveCopy
from customeros.sdk.lookup import values_of
from customeros.sdk.states import States


class AccountChange(NamedTuple):
    """The organisation's state now; None: it was forgotten."""

    account_id: str
    state: AccountState | None


class AccountStates(States[AccountState]):
    """
    A live copy of the organisations of one workspace.

        with AccountStates("localhost:9092") as accounts:
            accounts.wait_ready(30)
            acme = accounts.get("acme")

    Args:
        bootstrap: `host:port[,…]`.
        client: further librdkafka settings, such as `security.protocol`.
        store: holds the states; None: memory.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        workspace: str = "default",
        topic_prefix: str = "",
        client: Mapping[str, Any] | None = None,
        store: MutableMapping[bytes, bytes] | None = None,
    ) -> None:
        settings = {**(client or {}), "bootstrap.servers": bootstrap}
        copy = LiveCopy(topic_prefix + STATES.name, settings, store=store)
        super().__init__(workspace, ACCOUNT_STATE, copy)

    def get(self, account_id: str) -> AccountState | None:
        """The organisation's state, which may say that it was deleted; None: unknown."""
        raw = self._states.get(topic_key(self.workspace, account_id))
        return None if raw is None else ACCOUNT_STATE.decode(raw)

    def __iter__(self) -> Iterator[AccountState]:
        """The active organisations of this moment, in no order."""
        states = map(ACCOUNT_STATE.decode, values_of(self._states, self.workspace))
        return (state for state in states if state.status is AccountStatus.ACTIVE)

    def changes(self, *, from_start: bool = False) -> Iterator[AccountChange]:
        """As of `CustomerStates`: each with its newest state; *from_start*: all of them first."""
        for account_id, state in self._changed(from_start=from_start):
            yield AccountChange(account_id, state)
