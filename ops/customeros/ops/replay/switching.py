"""Put another generation in force: what people decided goes with it, and what they query."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial
from typing import Final

from customeros.ops.replay.decisions import hand_over, hand_over_unfolded
from customeros.ops.spans import patiently
from customeros.runtime.generation import in_force, put_in_force
from customeros.runtime.settings import GENERATION_VARIABLE, Settings
from customeros.runtime.stack import supervisor
from customeros.runtime.waiting import wait_until
from customeros.sinks.clickhouse.generations import publish

_READY_SECONDS: Final = 180.0
_LOOK_SECONDS: Final = 0.25


def switch(givers: Iterable[Settings], to: Settings) -> bool:
    """
    Put *to* in force; again completes what was interrupted.

    Where this home has a supervisor that follows, it stops the workers, the sink and the API of the
    former generation and starts those of *to*; the collector goes on.

    Args:
        givers: generations in which people may have decided something that *to* does not know.

    Returns:
        Whether the processes were replaced; else they have to be by whoever runs them.

    Raises:
        Unavailable: the broker or ClickHouse does not answer, or a process does not come up.
    """
    others = tuple(givers)
    for giver in others:
        patiently(partial(hand_over, giver, to))
    since, changed = time.time(), in_force(to.home) != to.build
    put_in_force(to.home, to.build)
    followed = supervisor.status(to).running and GENERATION_VARIABLE not in os.environ
    if followed:
        _wait_for_api(to, since if changed else 0.0)
    for giver in others:
        # Once more: now nobody decides or folds anything there any more.
        patiently(partial(hand_over, giver, to))
        patiently(partial(hand_over_unfolded, giver, to))
    publish(to)
    return followed


def _wait_for_api(to: Settings, since: float) -> None:
    """Until all is ready, the API, which starts last, having been started since then."""

    def is_up() -> bool:
        stack = supervisor.status(to)
        started = {h.process.name: h.process.started_at or 0.0 for h in stack.processes}
        return stack.ready and started.get("api", 0.0) >= since

    wait_until(is_up, seconds=_READY_SECONDS, every=_LOOK_SECONDS, missing="the stack")
