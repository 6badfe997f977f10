"""Run a generation's workers beside the stack for as long as something is done with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from customeros.ops.laptop import workers
from customeros.runtime.settings import Settings
from customeros.runtime.stack.keeping import Keeper
from customeros.runtime.stack.processes import tail

T = TypeVar("T")


class Stopped(Exception):
    """It was asked to stop, or a worker cannot be started: the text says which and why."""


def with_workers(settings: Settings, work: Callable[[Callable[[float], None]], T]) -> T:
    """
    What *work* returns; the workers of the generation run meanwhile, and die with this process.

    Call it from the main thread. *work* runs in another; it is given a function that waits for so
    many seconds, and raises Stopped when there is no more to wait for.

    Raises:
        Stopped: by SIGTERM or SIGINT, or a worker could not be started.
        What *work* raises.
    """
    logs = settings.home / "logs" / f"g{settings.build}"
    keeper = Keeper(workers(settings), logs, changed=lambda _: None)
    answers: list[T] = []
    problems: list[BaseException] = []

    def wait(seconds: float) -> None:
        if keeper.stopping.wait(seconds):
            raise Stopped("stopped; `customeros replay` goes on where it was")

    def run() -> None:
        try:
            answers.append(work(wait))
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            problems.append(error)
        finally:
            keeper.stopping.set()

    working = threading.Thread(target=run, name="replay")
    working.start()
    failed = keeper.run()
    working.join()
    if failed is not None:
        words = tail(logs / f"{failed}.log")
        raise Stopped(f"{failed} could not be started; its log ends with:\n{words}")
    if problems:
        raise problems[0]
    return answers[0]
