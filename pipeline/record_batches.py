"""Kafka's record batches, read so that no header can keep a record, or its neighbours, from us.

aiokafka decodes the names of headers as strict UTF-8 while it takes a batch apart, and raises out of `getmany` where
one is not: that record can never be passed, and what other partitions had ready in the same call is lost. No broker
checks those names, and clients in other languages send any bytes. So the client is given a reader of batches that
falls back to ours where its own gives up: bytes that are not UTF-8 become lone surrogates in the name
(`surrogateescape`, PEP 383), from which they can be had back, and whoever judges the record decides about them.

Layout: https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, base and max timestamp, producer id,
# producer epoch, base sequence, number of records
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT: Final = 8
_BEFORE_LENGTH_COUNTS: Final = 12
_CODEC: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08
_DECOMPRESS: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: bytes,
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}


def keep_every_record_readable() -> None:
    """Let the consumers of this process read batches through `RecordBatches`. Calling it again changes nothing."""
    # The client offers no way to be given a reader, so its name for one is taken. `tests/acceptance/test_poison.py`
    # sends such a header through a real broker, and fails when a new version of the client has it elsewhere.
    fetcher.MemoryRecords = RecordBatches


class RecordBatches:
    """The batches of one partition in a fetch: the interface of aiokafka's MemoryRecords."""

    def __init__(self, data: bytes) -> None:
        self._batches = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def size_in_bytes(self) -> int:
        return len(self._data)

    def next_batch(self) -> Any:
        """The next batch. It must have one."""
        batch = self._batches.next_batch()
        (length,) = _LENGTH.unpack_from(self._data, self._at + _LENGTH_AT)
        end = self._at + _BEFORE_LENGTH_COUNTS + length
        data, self._at = self._data[self._at : end], end
        # Formats before 2 have no headers.
        return _Batch(batch, data) if isinstance(batch, DefaultRecordBatch) else batch


class _Batch:
    """A batch whose records can all be read; everything else about it is the client's own."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        seen = -1
        try:
            for record in self._batch:
                seen = record.offset
                yield record
        except UnicodeDecodeError:
            yield from (record for record in read_records(self._data) if record.offset > seen)


def read_records(data: memoryview) -> Iterator[Any]:
    """The records of a batch in format 2, in order; what is not UTF-8 in the names of headers as lone surrogates."""
    base_offset, _, _, _, _, attributes, _, base_time, max_time, _, _, _, count = _HEADER.unpack_from(data)
    body = bytearray(_DECOMPRESS[attributes & _CODEC](bytes(data[_HEADER.size :])))
    appended = attributes & _LOG_APPEND_TIME
    at = 0
    for _ in range(count):
        size, at = decode_varint(body, at)
        reader, at = _Reader(body, at + 1), at + size  # a byte of attributes, none of which is in use
        created_time = base_time + reader.integer()
        offset = base_offset + reader.integer()
        time = max_time if appended else created_time
        yield DefaultRecord(offset, time, int(bool(appended)), reader.blob(), reader.blob(), reader.pairs())


class _Reader:
    """Takes one field after the other from a record."""

    def __init__(self, body: bytearray, at: int) -> None:
        self._body = body
        self._at = at

    def integer(self) -> int:
        value, self._at = decode_varint(self._body, self._at)
        return int(value)

    def blob(self) -> bytes | None:
        size = self.integer()
        if size < 0:
            return None
        start, self._at = self._at, self._at + size
        return bytes(self._body[start : self._at])

    def pairs(self) -> list[tuple[str, bytes | None]]:
        return [(self._name(), self.blob()) for _ in range(self.integer())]

    def _name(self) -> str:
        return (self.blob() or b"").decode("utf-8", "surrogateescape")
