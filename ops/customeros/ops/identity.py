"""`customeros identity …`, of the modules that hold its commands."""

from __future__ import annotations

from customeros.ops import rules_commands, suggestion_commands
from customeros.ops.identity_commands import app

suggestion_commands.register(app)
rules_commands.register(app)

__all__ = ["app"]
