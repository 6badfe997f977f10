"""A number that a home keeps in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from customeros.runtime.errors import Misconfigured


def kept_number(path: Path, *, missing: Callable[[], int], remedy: str) -> int:
    """
    The number in the file, or *missing* where there is none.

    Args:
        remedy: what the file should be, and what to write into it, after its name.

    Raises:
        Misconfigured: the file is not one that `keep_number` has written.
    """
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return missing()
    except (OSError, ValueError):
        raise Misconfigured(f"{path} {remedy}") from None


def keep_number(path: Path, number: int) -> None:
    """Write it; whoever reads meanwhile sees the old or the new one."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(f"{number}\n")
    draft.replace(path)
