"""Records of a topic as one Avro file, which ClickHouse reads by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from customeros.schemas.avro_values import long_bytes
from customeros.sinks.clickhouse.record import Row

_MAGIC: Final = b"Obj\x01"
# Ends the head and each block; any 16 bytes that are the same everywhere.
_SYNC: Final = b"customerOS-avro."


def avro_file(schema: Mapping[str, Any], rows: Iterable[Row]) -> bytes:
    """
    A file of records `{_partition, _offset, value, _end}`.

    Nothing in Avro says how long a value is: one that does not fit its schema would shift all
    that follow, so its offset is said again behind it.

    Args:
        schema: of the values.
        rows: each value in Avro, the partition and the offset that it had.
    """
    parts: list[bytes] = []
    count = 0
    for value, partition, offset in rows:
        place = long_bytes(offset)
        parts += (long_bytes(partition), place, value, place)
        count += 1
    body = b"".join(parts)
    block = (long_bytes(count), long_bytes(len(body)), body, _SYNC)
    return b"".join((_head(schema), *block))


def _head(schema: Mapping[str, Any]) -> bytes:
    fields = {"_partition": "long", "_offset": "long", "value": schema, "_end": "long"}
    row = {
        "type": "record",
        "name": "Row",
        "fields": [{"name": name, "type": kind} for name, kind in fields.items()],
    }
    said = (b"avro.schema", json.dumps(row).encode(), b"avro.codec", b"null")
    texts = b"".join(long_bytes(len(text)) + text for text in said)
    return b"".join((_MAGIC, long_bytes(len(said) // 2), texts, b"\0", _SYNC))
