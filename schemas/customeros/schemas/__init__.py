"""The contracts of the platform: what is on each topic, and how its bytes are read."""

from customeros.schemas.customer import CustomerState, Status
from customeros.schemas.dead_letter import DeadLetter, Origin
from customeros.schemas.event import Event, Family, Personal, ResolvedEvent
from customeros.schemas.identifier import CustomerId, Identifier, IdentifierKey, IdentifierRules
from customeros.schemas.identity import Assignment, Evidence

__all__ = [
    "Assignment",
    "CustomerId",
    "CustomerState",
    "DeadLetter",
    "Event",
    "Evidence",
    "Family",
    "Identifier",
    "IdentifierKey",
    "IdentifierRules",
    "Origin",
    "Personal",
    "ResolvedEvent",
    "Status",
]
