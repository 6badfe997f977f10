"""A partition's store on disk: RocksDB, caught up from the changelog whenever it is behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import rocksdict
import structlog

from customeros.runtime.stream.entries import after
from customeros.runtime.stream.store import NOWHERE, Position

_LOG: Final = structlog.get_logger()
# Of a table without a name, so that it meets neither a table's keys nor the watermark's.
_POSITION: Final = b"\0\0position"
_WRITE_BUFFER_BYTES: Final = 8 << 20
_BLOOM_BITS: Final = 10  # 1 % of look-ups of absent keys reach a data block


class RocksStore:
    """
    One RocksDB in *path*, made if it is missing and made anew if it is corrupt.

    Args:
        cache_bytes: of blocks and of what is not on disk yet, of all stores of this process that
            are opened with as much.

    Raises:
        StoreInUse: another process, or this one, has it open.
    """

    def __init__(self, path: Path, *, cache_bytes: int = 64 << 20) -> None:
        self.path = path
        self._cache_bytes = cache_bytes
        try:
            self._db = _open(path, cache_bytes)
        except Exception as error:  # rocksdict raises no other class
            if "lock" in str(error).lower():
                raise StoreInUse(path) from error
            if "Corruption" not in str(error):
                raise
            _LOG.warning("store_discarded", path=str(path), why="corrupt")
            shutil.rmtree(path)
            self._db = _open(path, cache_bytes)
        found = self._db.get(_POSITION)
        self.position = msgspec.msgpack.decode(found, type=Position) if found else NOWHERE

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if len(keys) == 1:  # RocksDB's way to look up many takes half as long again
            return [self._db.get(keys[0])]
        found: list[bytes | None] = self._db.get(list(keys))
        return found

    def scan(self, prefix: bytes, beyond: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        options = rocksdict.ReadOptions()
        if (end := after(prefix)) is not None:
            options.set_iterate_upper_bound(end)
        start = max(prefix, beyond + b"\0") if beyond else prefix
        found: Iterator[tuple[bytes, bytes]] = self._db.items(from_key=start, read_opt=options)
        return _within(options, found)

    def write(self, writes: Mapping[bytes, bytes | None], position: Position) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in writes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_POSITION, msgspec.msgpack.encode(position))
        self._db.write(batch)
        self.position = position

    def clear(self) -> None:
        """Forget everything, the position too."""
        self.close()
        shutil.rmtree(self.path)
        self._db = _open(self.path, self._cache_bytes)
        self.position = NOWHERE

    def close(self) -> None:
        try:
            self._db.close()
        except rocksdict.DbClosedError:
            return


class StoreInUse(Exception):
    """The store is open elsewhere."""


def open_store(folder: Path, *, cache_bytes: int) -> RocksStore:
    """
    The store in *folder*`/0`, or the next number that no other process has open.

    Two workers that share a home so never wait for each other: the changelog fills either's store.
    """
    for number in count():
        try:
            return RocksStore(folder / str(number), cache_bytes=cache_bytes)
        except StoreInUse:
            continue
    raise AssertionError("unreachable")


@cache
def _memory(cache_bytes: int) -> tuple[Any, Any]:
    """A cache, and what counts memtables, up to a half of it, as part of it."""
    blocks = rocksdict.Cache(cache_bytes)
    memtables = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
        cache_bytes // 2, False, blocks
    )
    return blocks, memtables


def _open(path: Path, cache_bytes: int) -> Any:
    path.mkdir(parents=True, exist_ok=True)
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    cached, memtables = _memory(cache_bytes)
    options.set_write_buffer_manager(memtables)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(cached)
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    # Index and filter share the cache in pieces: whole, those of a large file would fit in no
    # cache of this size, and be read and unpacked again for every look-up.
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    options.set_block_based_table_factory(blocks)
    return rocksdict.Rdict(str(path), options)


def _within(
    options: rocksdict.ReadOptions, found: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """
    The entries of an iterator, whose options stay alive as long.

    It only points to the bound in them: without them it ends where freed memory happens to say.
    """
    for entry in found:
        if entry[0] != _POSITION:
            yield entry
    del options
