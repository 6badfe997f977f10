"""One stack for the tests of this folder that leave it as it was; it starts once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.whole_stack import WholeStack, fresh_settings, whole_stack

# `walk-in` names nobody, until a test's own configuration says otherwise.
_CONFIG = """
[workspaces.default.sources.demo]
[workspaces.default.blocked]
values = ["walk-in"]
"""


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    """Everything, ready; use names of your own (`unique`), as others send to it too."""
    home = tmp_path_factory.mktemp("home")
    config = home / "customeros.toml"
    config.write_text(_CONFIG)
    settings = fresh_settings(home).model_copy(update={"config": config})
    with whole_stack(settings) as running:
        yield running
