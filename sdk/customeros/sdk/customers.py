"""All customers of a workspace, in the memory of an application and never behind by much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

from customeros.schemas.codec import CUSTOMER_STATE
from customeros.schemas.customer import CustomerState
from customeros.schemas.identifier import (
    DEFAULT_RULES,
    IdentifierRules,
    identifier_key,
    normalise,
    parse_identifier,
)
from customeros.schemas.topics import ASSIGNMENTS
from customeros.schemas.topics import CUSTOMER_STATE as STATES
from customeros.sdk.livecopy import LiveCopy
from customeros.sdk.lookup import Customers, Found
from customeros.sdk.states import States


class CustomerChange(NamedTuple):
    """The customer's state now; None: it was forgotten."""

    customer_id: str
    state: CustomerState | None


class CustomerStates(States[CustomerState]):
    """
    A live copy of the customers of one workspace.

        with CustomerStates("localhost:9092") as customers:
            customers.wait_ready(30)
            ada = customers.get("c…")

    Args:
        bootstrap: `host:port[,…]`.
        workspace_key: only needed to look up by identifier, since the topics hold keyed hashes;
            docs/sdk.md tells where it comes from.
        rules: how the workspace writes identifiers, where it differs from the defaults.
        client: further librdkafka settings, such as `security.protocol`.
        store: holds the states; None: memory, some hundred bytes to a few kB for each customer.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        workspace: str = "default",
        workspace_key: bytes | None = None,
        rules: IdentifierRules = DEFAULT_RULES,
        topic_prefix: str = "",
        client: Mapping[str, Any] | None = None,
        store: MutableMapping[bytes, bytes] | None = None,
    ) -> None:
        settings = {**(client or {}), "bootstrap.servers": bootstrap}
        states = LiveCopy(topic_prefix + STATES.name, settings, store=store)
        assignments = LiveCopy(topic_prefix + ASSIGNMENTS.name, settings)
        super().__init__(workspace, CUSTOMER_STATE, states, assignments)
        self._key = workspace_key
        self._rules = rules
        self._customers = Customers(states, assignments)

    def get(self, customer_id: str) -> CustomerState | None:
        """The customer's state; of one that was merged, the survivor's. None: unknown."""
        return _state(self._customers.by_id(self.workspace, customer_id))

    def get_by_identifier(self, text: str) -> CustomerState | None:
        """
        The customer known as *text*, such as `email:ada@example.com`; None: nobody is.

        Raises:
            ValueError: not written `type:value`, names nobody by the rules, or no workspace key.
        """
        if self._key is None:
            raise ValueError("looking up by identifier needs the workspace key")
        asked = parse_identifier(text, self._rules)
        found = normalise(asked.type, asked.value, self._rules)
        if found is None:
            raise ValueError(f"the value is no {asked.type} that names anybody")
        return _state(self._customers.by_key(self.workspace, identifier_key(self._key, found)))

    def __iter__(self) -> Iterator[CustomerState]:
        """The active customers of this moment, in no order."""
        return self._customers.active(self.workspace)

    def changes(self, *, from_start: bool = False) -> Iterator[CustomerChange]:
        """
        Customers as they change, each with its newest state; blocks, and ends with the copy.

        Changes that pile up unread for one customer are one. *from_start*: all customers first.
        """
        for customer_id, state in self._changed(from_start=from_start):
            yield CustomerChange(customer_id, state)


def _state(found: Found | None) -> CustomerState | None:
    return None if found is None else found.state
