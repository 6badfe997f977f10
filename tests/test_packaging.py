"""The layout holds: one namespace over several rooms."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_namespace_has_no_init() -> None:
    """One __init__.py beside a room would hide every other room."""
    assert not list(ROOT.glob("*/customeros/__init__.py"))


def test_every_room_says_that_it_is_typed() -> None:
    rooms = [room for room in ROOT.glob("*/customeros/*") if (room / "__init__.py").exists()]

    assert len(rooms) == 8
    assert all((room / "py.typed").exists() for room in rooms)


def test_no_lock_file_names_a_registry() -> None:
    """Where packages come from is the machine's business."""
    locks = [*ROOT.glob("requirements/*.lock"), *ROOT.glob("*/**/jgo.lock.toml")]

    assert len(locks) >= 4
    assert all("http" + "s://" not in lock.read_text() for lock in locks)
