"""Send a file's rows as tracking calls; a mapping says what becomes of each."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from customeros.connectors.tracking import TrackingClient
from customeros.runtime.errors import Misconfigured

_GZIP_MAGIC: Final = b"\x1f\x8b"
_REFERENCE: Final = "$"
_PROGRESS_ROWS: Final = 1_000

Row = Mapping[str, Any]


class FileMapping(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a file's rows are.

    Args:
        name: of the file's content, for good: with the row's number it is the `messageId`, so
            that a file sent again, in whole or after an interruption, counts once.
        call: a tracking call; each text `$column` in it, at any depth, stands for the row's
            value (`$a.b` for one within), and goes with its key where the row has none.
        format: `csv` (with a header line) or `jsonl` (an object a line).
        delimiter: of csv; one space means any run of spaces.
        each: of jsonl, the column with a list (lists within are flattened): each element is a
            row, with the columns of its line that it has not itself.
    """

    name: str
    call: dict[str, Any]
    format: str = "csv"
    delimiter: str = ","
    each: str | None = None


def send(
    path: Path,
    mapping: FileMapping,
    client: TrackingClient,
    *,
    progress: Callable[[int], None] = lambda rows: None,
) -> int:
    """
    Send every row of a file, gzip or not, and return their number once the collector has all.

    Args:
        progress: told the number of rows so far, every thousand and at the end.

    Raises:
        Misconfigured: the file is not of the mapping's format; says the line.
        Unavailable, Rejected: of the client.
    """
    sent = 0
    for sent, row in enumerate(read_rows(path, mapping), 1):
        client.send({**fill(mapping.call, row), "messageId": f"{mapping.name}-{sent}"})
        if sent % _PROGRESS_ROWS == 0:
            progress(sent)
    client.flush()
    progress(sent)
    return sent


def read_rows(path: Path, mapping: FileMapping) -> Iterator[Row]:
    """The rows in the file's order; raises Misconfigured as `send` does."""
    with _text(path) as lines:
        match mapping.format:
            case "csv":
                yield from _csv(lines, mapping.delimiter, path)
            case "jsonl":
                for row in _json_lines(lines, path):
                    yield from [row] if mapping.each is None else _each(row, mapping.each)
            case other:
                raise Misconfigured(f"{mapping.name}: format {other!r} is neither csv nor jsonl")


def fill(template: Any, row: Row) -> Any:
    """The template with the row's values in the places of `$column`."""
    match template:
        case dict():
            filled = {key: fill(value, row) for key, value in template.items()}
            return {
                key: value
                for key, value in filled.items()
                if value is not None or template[key] is None
            }
        case list():
            return [fill(value, row) for value in template]
        case str() if template.startswith(_REFERENCE):
            return _value(row, template.removeprefix(_REFERENCE))
        case _:
            return template


def _value(row: Row, column: str) -> Any:
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value == "" else value


def _csv(lines: TextIO, delimiter: str, path: Path) -> Iterator[Row]:
    spaced = delimiter == " "
    rows = (
        (line.split() for line in lines)
        if spaced
        else csv.reader(lines, delimiter=delimiter, strict=True)
    )
    try:
        header = next(rows, None)
        if header is None:
            return
        for number, row in enumerate(rows, 2):
            if row and len(row) != len(header):
                raise Misconfigured(
                    f"{path}: row {number} has {len(row)} columns, the header {len(header)}"
                )
            if row:
                yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise Misconfigured(f"{path}: not readable as csv: {error}") from error


def _json_lines(lines: TextIO, path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise Misconfigured(f"{path}:{number}: not a JSON object") from error


def _each(row: Row, column: str) -> Iterator[Row]:
    shared = {key: value for key, value in row.items() if key != column}
    for element in _flat(row.get(column)):
        yield {**shared, **element}


def _flat(value: Any) -> Iterator[Row]:
    if isinstance(value, list):
        for element in value:
            yield from _flat(element)
    elif isinstance(value, dict):
        yield value


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as raw:
        packed = raw.peek(2)[:2] == _GZIP_MAGIC
        unpacked = gzip.GzipFile(fileobj=raw) if packed else raw
        with io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="") as lines:
            yield lines
