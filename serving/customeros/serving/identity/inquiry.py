"""What a request about identity asks about: a workspace's graph, and whom its words mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from starlette.requests import Request

from customeros.processors.configured import rules_of
from customeros.processors.identity.model import NEVER
from customeros.processors.identity.rules import Rules, rules_from
from customeros.processors.identity.why import members_of
from customeros.runtime.config import Workspace
from customeros.schemas.customer import KnownIdentifier
from customeros.schemas.identifier import Identifier
from customeros.schemas.identity import Evidence, IdentityChange, IdentityLink
from customeros.sdk.lookup import Copy, Customers
from customeros.serving.answers import Refused
from customeros.serving.customers import CustomerAnswers, try_again
from customeros.serving.identity.changes import Changes
from customeros.serving.identity.comparisons import Comparisons
from customeros.serving.identity.links import Links, WorkspaceGraph
from customeros.serving.reference import nobody, read_reference


class NamedEvents(Protocol):
    """Where events are kept."""

    def named(
        self, workspace: str, keys: Iterable[str], event_ids: Iterable[str]
    ) -> dict[str, Mapping[str, Any]]:
        """
        The events with these ids that have one of *keys* as their primary; blocks.

        Raises:
            Unavailable: no answer; try again.
        """


class IdentityKnowledge(NamedTuple):
    """
    What the answers come from.

    Args:
        tell: puts evidence on its topic, and waits until it is there.
    """

    links: Links
    changes: Changes
    assignments: Copy
    customers: Customers
    events: NamedEvents
    ready: Callable[[], bool]
    tell: Callable[[Evidence], Awaitable[None]]
    comparisons: Comparisons


class Side(NamedTuple):
    """One of two that are asked about: a key of a customer, and what is known of it."""

    key: str
    type: str
    first_seen_at: int
    members: list[str]
    types: dict[str, str]


class Door:
    """A customer and a token are found as the customers' own answers find them."""

    def __init__(self, customers: CustomerAnswers, know: IdentityKnowledge) -> None:
        self.customers = customers
        self.know = know

    def enter(self, request: Request) -> Inquiry:
        """
        What *request* asks about.

        Raises:
            Refused: no token, no such workspace, or the evidence is still being read.
        """
        self.customers.authenticate(request)
        workspace = self.customers.workspace(request)
        if not self.know.ready():
            raise try_again("not_ready", "the evidence is still being read; try again")
        return Inquiry(self, workspace)


class Inquiry:
    """
    One workspace as it is during one request.

    Args:
        rules_version: of those in force; 0: none were adopted yet, so the file's.
    """

    def __init__(self, door: Door, workspace: Workspace) -> None:
        know = door.know
        self.workspace = workspace
        self.graph = WorkspaceGraph(workspace.name, know.links, know.assignments, know.changes)
        self._adopted = know.changes.rules(workspace.name)
        self.rules_version = self._adopted[0].version if self._adopted else 0
        self._customers = door.customers
        self._know = know

    @cached_property
    def rules(self) -> Rules:
        """Those in force; most requests do not ask for them."""
        if not self._adopted:
            return rules_of(self.workspace)
        return rules_from(self._adopted[0].text, self.workspace.name)

    def side(self, text: str) -> Side:
        """
        The customer whom *text* names, by id or by an identifier.

        Raises:
            Refused: nobody is, or *text* can name nobody.
        """
        graph = self.graph
        who = read_reference(text, self.workspace.identifiers)
        state = self._customers.find(self.workspace.name, who).state
        types = {known.key: known.type for known in state.identifiers}
        first = {known.key: known.first_seen_at for known in state.identifiers}
        if isinstance(who, Identifier):
            key: str = self._customers.key(self.workspace.name, who)
            types[key] = who.type
        elif first:
            # The state may still list what an assignment has taken elsewhere.
            own = [known for known in first if graph.customer(known) == state.customer_id]
            key = min(own or first, key=lambda known: (first[known], known))
        else:
            raise nobody(who, self.workspace.identifiers)
        now = graph.customer(key)
        mine = [known for known in types if graph.customer(known) == now]
        members = members_of(graph, {*mine, key})
        seen_at = first.get(key, NEVER)
        return Side(key, types[key], seen_at, members, types)

    def key_of(self, text: str) -> str:
        """
        What stands for the identifier *text* in the graph.

        Raises:
            Refused: it is none.
        """
        who = read_reference(text, self.workspace.identifiers)
        if not isinstance(who, Identifier):
            raise Refused(400, "malformed_identifier", "name identifiers, as type:value")
        return self._customers.key(self.workspace.name, who)

    def type_of(self, key: str) -> str:
        """Of the identifier that *key* stands for; empty: nothing is known of it."""
        known = self._known(key)
        if known is not None:
            return known.type
        return next((x.a_type if x.a == key else x.b_type for x in self.graph.links(key)), "")

    def names(self, keys: Iterable[str]) -> dict[str, str]:
        """Those of *keys* whose value is known, written `type:value`."""
        known = {key: self._known(key) for key in dict.fromkeys(keys)}
        return {key: f"{k.type}:{k.value}" for key, k in known.items() if k and k.value is not None}

    def names_in(self, links: Iterable[IdentityLink]) -> dict[str, str]:
        """The same of all that *links* name."""
        return self.names([key for link in links for key in (link.a, link.b) if key])

    def change(self, change_id: str) -> IdentityChange | None:
        """The change by hand of this id."""
        return self._know.changes.of(self.workspace.name, change_id)

    def _known(self, key: str) -> KnownIdentifier | None:
        found = self._know.customers.by_id(self.workspace.name, self.graph.customer(key))
        mine = found.state.identifiers if found is not None else ()
        return next((known for known in mine if known.key == key), None)
