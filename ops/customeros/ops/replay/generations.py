"""Which generations are there, what of the log has each missed, and how does one go?"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from customeros.ops.lag import READS, committed
from customeros.ops.spans import ANSWER_SECONDS, spans
from customeros.ops.stages import STAGES
from customeros.runtime.clients import admin, group_id
from customeros.runtime.errors import Misconfigured, Unavailable
from customeros.runtime.settings import Settings
from customeros.runtime.topics import prefixed
from customeros.runtime.waiting import wait_until
from customeros.schemas.topics import EVENTS, FIRST_GENERATION, Topic, all_topics
from customeros.sinks.clickhouse.generations import discard

_GONE_SECONDS: Final = 60.0
_EMPTY: Final = (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.UNKNOWN_TOPIC_OR_PART)


def generations(settings: Settings) -> list[int]:
    """
    The generations that have topics, in order.

    Raises:
        Unavailable: the broker does not answer.
    """
    try:
        names = admin(settings).list_topics(timeout=ANSWER_SECONDS).topics
    except KafkaException as error:
        raise Unavailable("kafka") from error
    prefix, derived = re.escape(settings.kafka.topic_prefix), {topic.name for topic in _derived()}
    found = (re.fullmatch(rf"{prefix}(?:g(\d+)\.)?(.+)", name) for name in names)
    return sorted({int(m[1] or FIRST_GENERATION) for m in found if m and m[2] in derived})


def missed(settings: Settings) -> int:
    """
    How many events this generation has not folded that the log does not hold any more.

    Raises:
        Unavailable: the broker does not answer, or there are no topics of events yet.
    """
    there = spans(settings, EVENTS.values())
    folded = committed(settings, "resolve", there)
    return sum(max(0, span.start - max(0, folded.get(place, 0))) for place, span in there.items())


def missed_sentence(settings: Settings, count: int) -> str:
    """What that means, and what to do about it."""
    return (
        f"{count:,} events are gone from the log that generation {settings.build} would need: it "
        "would know less than the running one. From now on keep them: CUSTOMEROS_KAFKA__EVENTS_DAYS"
        " says for how long, 0 for ever (docs/replay.md weighs that against privacy). To do it "
        "with what is left all the same: --partial"
    )


def drop(settings: Settings) -> None:
    """
    Delete this generation: topics, groups, tables, local state; what is gone already is no error.

    Raises:
        Misconfigured: some of its processes still run.
        Unavailable: the broker or ClickHouse does not answer.
    """
    client = admin(settings)
    _delete_groups(client, [group_id(settings, stage) for stage in READS])
    _delete_topics(client, [prefixed(settings, topic) for topic in _derived()])
    for stage in STAGES:
        shutil.rmtree(settings.home / "state" / f"{settings.prefix}{stage}", ignore_errors=True)
    discard(settings)


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """
    Keep others of this home from building, switching or dropping meanwhile.

    Raises:
        Misconfigured: another is at it.
    """
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "replay.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured("another `customeros replay` is at work in this home") from None
        yield


def _derived() -> Iterable[Topic]:
    return [topic for topic in all_topics(STAGES) if topic.derived]


def _delete_groups(client: AdminClient, groups: list[str]) -> None:
    for group, answer in client.delete_consumer_groups(
        groups, request_timeout=ANSWER_SECONDS
    ).items():
        try:
            answer.result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.NON_EMPTY_GROUP:
                raise Misconfigured(
                    f"{group} still has workers: stop what runs of this generation first"
                ) from error
            if code not in _EMPTY:
                raise Unavailable("kafka") from error


def _delete_topics(client: AdminClient, names: list[str]) -> None:
    for answer in client.delete_topics(names, request_timeout=ANSWER_SECONDS).values():
        try:
            answer.result()
        except KafkaException as error:
            if error.args[0].code() not in _EMPTY:
                raise Unavailable("kafka") from error
    wait_until(
        lambda: {*names}.isdisjoint(client.list_topics(timeout=ANSWER_SECONDS).topics),
        seconds=_GONE_SECONDS,
        every=0.1,
        missing="kafka",
    )
