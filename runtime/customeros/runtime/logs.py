"""Structured logs: an event name in the past tense, facts as fields, never an identifier."""

from __future__ import annotations

import logging
import re
import sys
from typing import Final

import structlog

from customeros.runtime.settings import Logs

# Kafka's clients say many times a second that a broker is away.
_REPEAT_SECONDS: Final = 30.0
_REMEMBERED_LINES: Final = 100


def configure_logs(logs: Logs, *, process: str) -> None:
    """Send this process's logs, libraries' included, to stderr; calling twice is harmless."""
    level = logging.getLevelNamesMapping()[logs.level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if logs.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    handler.addFilter(Seldom())
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


class Seldom(logging.Filter):
    """
    Lets a library's line through once in `_REPEAT_SECONDS`, whatever numbers differ in it.

    Our own lines do not pass here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is new, or old enough to be said again."""
        line = re.sub(r"\d+", "", record.getMessage())
        if record.created - self._said.get(line, 0.0) < _REPEAT_SECONDS:
            return False
        if len(self._said) >= _REMEMBERED_LINES:
            self._said.clear()
        self._said[line] = record.created
        return True
