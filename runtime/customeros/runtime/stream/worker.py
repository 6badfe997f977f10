"""Run one stage in a Faust worker; whatever fails ends the process with nothing committed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Collection, Iterable, Mapping, Set
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import structlog
import uvloop
from faust.types import TP

from customeros.runtime.backlog import Backlog
from customeros.runtime.connections import tell_of_closed_connections
from customeros.runtime.ending import EXIT_CRASHED, EXIT_MISCONFIGURED, end_at_once
from customeros.runtime.errors import Fenced, Misconfigured
from customeros.runtime.garbage import collect_rarely
from customeros.runtime.metrics import UNAVAILABLE, serve_metrics
from customeros.runtime.progress import Progress, Watch
from customeros.runtime.settings import Settings
from customeros.runtime.stream.app import build_app
from customeros.runtime.stream.faust_batches import BatchApp, BatchSchema
from customeros.runtime.stream.model import Processor
from customeros.runtime.stream.owner import Owner, open_partition
from customeros.runtime.topics import FoundTopic, check_topics, prefixed
from customeros.runtime.waiting import once_available
from customeros.schemas.topics import TOPICS, Topic, changelog

T = TypeVar("T")

_LOG: Final = structlog.get_logger()
_DRAIN_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 30.0
_QUEUED_BATCHES: Final = 4


def run_worker(processor: Processor, settings: Settings) -> NoReturn:
    """
    Run *processor*; the process ends within this call, with 0 after SIGTERM or SIGINT.

    Whatever fails on the way ends it at once with EXIT_CRASHED: what was not committed is void,
    and the supervisor starts it again.

    Raises:
        Misconfigured: a topic is missing or differs.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    progress = Progress(processor.stage, settings.worker.patience_seconds)
    serve_metrics(settings.metrics, trouble=lambda: progress.trouble)
    topics = _wait_for_topics(settings, (*TOPICS, changelog(processor.stage)), progress)
    # Faust makes its directory, but not that directory's parents.
    (settings.home / "state").mkdir(parents=True, exist_ok=True)
    collect_rarely()
    # A policy, since Faust makes the loops of its threads itself.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    tell_of_closed_connections()
    asyncio.run(_or_end(_run(processor, settings, topics, progress)))
    raise AssertionError("unreachable")


async def _run(
    processor: Processor,
    settings: Settings,
    topics: Mapping[Topic, FoundTopic],
    progress: Progress,
) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    stage = Stage(processor, settings, topics, progress)
    app, backlog = stage.app, Backlog(settings, processor.stage)
    watch = Watch(
        progress,
        waits=lambda: backlog.waits(stage.places),
        stirred=lambda: stage.stirred,
        loop=loop,
    )
    watch.start()
    stopping = asyncio.create_task(told.wait())
    running = asyncio.create_task(_until_stopped(app))
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
        raise app.crash_reason or RuntimeError("Faust stopped without a reason")
    watch.stop()
    async with asyncio.timeout(_STOP_SECONDS):
        await app.stop()
    _LOG.info("worker_stopped", stage=processor.stage)
    # Not by returning: a consumer that was about to join its group would keep the process.
    end_at_once(os.EX_OK)


async def _until_stopped(app: BatchApp) -> None:
    await app.start()
    await app.wait_until_stopped()


class Stage:
    """A processor's owners, and the Faust app that feeds them."""

    def __init__(
        self,
        processor: Processor,
        settings: Settings,
        topics: Mapping[Topic, FoundTopic],
        progress: Progress,
    ) -> None:
        self._progress = progress
        progress.starting = "joins its group"
        self._processor = processor
        self._settings = settings
        self._topics = topics
        self._by_name = {prefixed(settings, topic): topic for topic in processor.sources}
        self._owners: dict[int, asyncio.Task[Owner]] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._revoked_generation: int | None = None
        self.app = build_app(processor.stage, settings)
        source = self.app.topic(
            *self._by_name,
            schema=BatchSchema(),
            partitions=settings.kafka.partitions,
            maxsize=_QUEUED_BATCHES,
        )
        self.app.agent(source, name=processor.stage, concurrency=1)(self._consume)
        self.app.on_partitions_revoked.connect(self._on_revoked)
        self.app.on_partitions_assigned.connect(self._on_assigned)  # type: ignore[arg-type]
        self.app.on_before_shutdown.connect(self._on_shutdown)

    @property
    def places(self) -> list[tuple[str, int]]:
        """Topics by name and partitions that are this worker's; any thread may ask."""
        return [(name, partition) for partition in tuple(self._owners) for name in self._by_name]

    @property
    def stirred(self) -> object:
        """See `Standing.sign`; any thread may ask."""
        return tuple(owner.stirred for owner in self._opened_owners())

    def _opened_owners(self) -> list[Owner]:
        return [task.result() for task in tuple(self._owners.values()) if _is_open(task)]

    async def _consume(self, stream: Any) -> None:
        await _or_end(self._take_all(stream))

    async def _take_all(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            generation = message.generation_id
            if not self._is_ours(generation):
                continue
            owner = await self._owner(message.partition)
            await owner.room()
            if self._is_ours(generation):
                owner.take(
                    self._by_name[message.topic],
                    event.value,
                    generation=generation,
                    acknowledge=partial(stream.ack, event),
                )
                # A queue that is never empty would keep commits waiting.
                await asyncio.sleep(0)

    def _is_ours(self, generation: int) -> bool:
        """What is of an older generation stays unacknowledged; its new owner reads it."""
        return generation == self.app.consumer_generation_id != self._revoked_generation

    def _owner(self, partition: int) -> asyncio.Task[Owner]:
        if partition not in self._owners:
            opening = asyncio.create_task(_or_end(self._open(partition)))
            opening.add_done_callback(lambda _: self._tell())
            self._owners[partition] = opening
        return self._owners[partition]

    async def _open(self, partition: int) -> Owner:
        if leaving := self._leaving.pop(partition, None):
            await leaving
        opening = partial(
            once_available,
            partial(
                open_partition,
                self._processor,
                self._settings,
                partition,
                self._topics,
                self._progress,
            ),
            away=lambda: UNAVAILABLE.labels("worker", "kafka").inc(),
        )
        opened = await asyncio.to_thread(opening)
        owner = Owner(self._progress, self._settings.worker, partition, opening, opened)
        owner.committing = asyncio.create_task(_or_end(owner.commit_always()))
        return owner

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        await _or_end(self._drain())

    async def _on_assigned(self, _app: Any, assigned: Iterable[TP], **_: Any) -> None:
        await _or_end(self._keep({tp.partition for tp in assigned}))

    async def _on_shutdown(self, *_: Any, **__: Any) -> None:
        await _or_end(self._drain())
        await _or_end(self._keep(frozenset()))
        await asyncio.gather(*self._leaving.values())

    async def _drain(self) -> None:
        """
        Take nothing more of this generation, and commit all that was taken.

        What cannot be committed in time, since the broker is away, is left to the owners: one that
        stays goes on with it, one that leaves is fenced by its successor.
        """
        self._revoked_generation = self.app.consumer_generation_id
        draining = asyncio.create_task(_or_end(self._commit_all(tuple(self._owners.values()))))
        done, _ = await asyncio.wait({draining}, timeout=_DRAIN_SECONDS)
        if not done:
            draining.cancel()
            _LOG.warning("drain_unfinished", stage=self._processor.stage)

    async def _commit_all(self, owners: Collection[asyncio.Task[Owner]]) -> None:
        # Those being opened as well: theirs must not be the last word when another opens them.
        opened = await asyncio.gather(*map(asyncio.shield, owners))
        await asyncio.gather(*(owner.drain() for owner in opened))
        if opened:
            await self.app.consumer.commit()

    async def _keep(self, partitions: Set[int]) -> None:
        """
        Keep the owners of *partitions*, opening those that are missing, and close all others.

        An owner kept over a rebalance is still the newest, or its next commit fails.
        """
        self._revoked_generation = None
        for partition in self._owners.keys() - partitions:
            closing = self._close(self._owners.pop(partition))
            self._leaving[partition] = asyncio.create_task(_or_end(closing))
        for partition in partitions:
            self._owner(partition)
        self._progress.moved()
        self._tell()

    def _tell(self) -> None:
        opened = sum(map(_is_open, self._owners.values()))
        self._progress.starting = (
            f"catches up, {opened} of {len(self._owners)} partitions done"
            if opened < len(self._owners)
            else ""
        )

    async def _close(self, owner: asyncio.Task[Owner]) -> None:
        await asyncio.to_thread((await owner).close)


def _is_open(task: asyncio.Task[Owner]) -> bool:
    return task.done() and not task.cancelled()


def end_process(error: BaseException | None) -> NoReturn:
    """End this process at once, threads and all; nothing that is not committed will be."""
    code = EXIT_CRASHED
    if isinstance(error, Fenced):
        _LOG.info("worker_fenced", why=str(error))
    elif isinstance(error, Misconfigured):
        code = EXIT_MISCONFIGURED
        _LOG.error("worker_misconfigured", problem=str(error))
    else:
        _LOG.error("worker_crashed", exc_info=error)
    end_at_once(code)


async def _or_end(work: Awaitable[T]) -> T:
    try:
        return await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - the process ends here
        end_process(error)


def _wait_for_topics(
    settings: Settings, topics: Iterable[Topic], progress: Progress
) -> Mapping[Topic, FoundTopic]:
    wanted = tuple(topics)

    def away() -> None:
        progress.starting = "waits for kafka"
        UNAVAILABLE.labels("worker", "kafka").inc()

    return once_available(lambda: check_topics(settings, wanted), away=away)
