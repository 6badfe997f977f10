"""Why somebody is one customer, who is kept apart, and changing it by hand."""

from customeros.serving.identity.changes import Changes
from customeros.serving.identity.comparisons import Comparisons
from customeros.serving.identity.inquiry import IdentityKnowledge
from customeros.serving.identity.links import Links
from customeros.serving.identity.routes import identity_routes

__all__ = ["Changes", "Comparisons", "IdentityKnowledge", "Links", "identity_routes"]
