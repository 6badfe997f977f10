"""The schemas of the public topics: served as a registry does, or put into a real one."""

from customeros.serving.registry.readonly import ReadOnlyRegistry
from customeros.serving.registry.register import Registered, register_schemas

__all__ = ["ReadOnlyRegistry", "Registered", "register_schemas"]
