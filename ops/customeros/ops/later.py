"""Commands of other modules, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group


def commands_of(places: Mapping[str, str]) -> type[TyperGroup]:
    """
    A group that has these commands beside its own.

    Args:
        places: `module:attribute` by name; it is a command's function, or a group's Typer.
    """

    class Commands(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self._later = dict(places)
            # By name already, so that they are listed, and suggested where one is mistyped.
            self.commands.update(dict.fromkeys(places, typer.core.TyperCommand(None)))

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if place := self._later.pop(cmd_name, None):
                self.commands[cmd_name] = _imported(cmd_name, place)
            return super().get_command(ctx, cmd_name)

    return Commands


def _imported(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    root = typer.Typer()
    if isinstance(found, typer.Typer):
        root.add_typer(found, name=name)
    else:
        root.command(name)(found)
    return get_group(root).commands[name]
