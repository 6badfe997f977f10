"""A port for a server of a test, on the loopback interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from customeros.runtime.stack import ports
from customeros.runtime.stack.ports import free_port

__all__ = ["few_ports", "free_port"]


@contextmanager
def few_ports(some: range) -> Iterator[None]:
    """As if this machine had no other ports, and this process had been told none."""
    claims: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "_FREE_RANGE", some)
        patch.setattr(ports, "_claims", claims)
        yield
    for claim in claims:
        os.close(claim)
