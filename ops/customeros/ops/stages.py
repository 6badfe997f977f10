"""The Faust workers by name, and how each is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from customeros.runtime.config import Config
from customeros.runtime.settings import Settings

if TYPE_CHECKING:
    from customeros.runtime.stream.model import Processor


def _resolve(config: Config, settings: Settings) -> Processor:
    from customeros.processors.streams.resolve import build_resolve

    return build_resolve(config, settings)


def _graph(config: Config, settings: Settings) -> Processor:
    from customeros.processors.streams.graph import build_graph

    return build_graph(config)


def _state(config: Config, settings: Settings) -> Processor:
    from customeros.processors.streams.state import build_state

    return build_state(config)


STAGES: Final[Mapping[str, Callable[[Config, Settings], Processor]]] = {
    "resolve": _resolve,
    "graph": _graph,
    "state": _state,
}
