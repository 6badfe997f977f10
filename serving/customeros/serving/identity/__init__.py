"""Why somebody is one customer, who is kept apart, and changing it by hand."""

from customeros.serving.identity.answers import IdentityAnswers, IdentityKnowledge
from customeros.serving.identity.links import Links

__all__ = ["IdentityAnswers", "IdentityKnowledge", "Links"]
