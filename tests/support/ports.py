"""A port for a server of a test, on the loopback interface."""

from customeros.runtime.stack.ports import free_port

__all__ = ["free_port"]
