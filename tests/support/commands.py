"""What the `customeros` command's tests run and get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Done(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str


class Command(Protocol):
    """Run `customeros` with these arguments, nothing set but `env`, in a folder of the test."""

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, columns: int = 160
    ) -> Done: ...
