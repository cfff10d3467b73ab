"""Our reader of record batches against the client's own: equal where both can read, and only ours where it cannot."""

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from pipeline.record_batches import RecordBatches, read_records
from tests.support.raw_batches import COMPRESS, RawMessage, record_batch

blobs = st.none() | st.binary(max_size=300)
texts = st.text(max_size=20).map(str.encode)


def messages(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[RawMessage]]:
    headers = st.lists(st.tuples(names, blobs), max_size=4)
    return st.lists(st.tuples(blobs, blobs, headers), min_size=1, max_size=20)


def fields(record: Any) -> tuple[object, ...]:
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, tuple(record.headers)


def raw(record: Any) -> RawMessage:
    return (
        record.key,
        record.value,
        [(name.encode("utf-8", "surrogateescape"), content) for name, content in record.headers],
    )


def in_order(data: bytes) -> list[Any]:
    batches, found = RecordBatches(data), []
    while batches.has_next():
        found += list(batches.next_batch())
    return found


@given(messages(texts), st.sampled_from(sorted(COMPRESS)), st.integers(0, 2**40))
def test_what_the_client_can_read_we_read_alike(sent: list[RawMessage], codec: str, first_offset: int) -> None:
    data = record_batch(sent, codec=codec, first_offset=first_offset)
    theirs = [fields(record) for record in MemoryRecords(data).next_batch()]
    assert [fields(record) for record in read_records(memoryview(data))] == theirs
    assert [fields(record) for record in in_order(data)] == theirs


@given(
    messages(texts | st.binary(max_size=20)),
    messages(texts | st.binary(max_size=20)),
    st.sampled_from(sorted(COMPRESS)),
)
def test_every_record_arrives_whatever_its_headers_are_called(
    first: list[RawMessage], second: list[RawMessage], codec: str
) -> None:
    data = record_batch(first, codec=codec) + record_batch(second, codec=codec, first_offset=len(first))
    found = in_order(data)
    assert [raw(record) for record in found] == first + second
    assert [record.offset for record in found] == list(range(len(first) + len(second)))


def test_the_client_alone_still_cannot() -> None:
    """The day this fails, the fallback can go."""
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(record_batch([(None, b"x", [(b"\xff", None)])])).next_batch())


def test_what_else_the_client_asks_of_a_batch_is_its_own_answer() -> None:
    data = record_batch([(b"1", b"x", [])], first_offset=40)
    ours, theirs = RecordBatches(data).next_batch(), MemoryRecords(data).next_batch()
    for name in ("base_offset", "next_offset", "producer_id", "is_control_batch", "is_transactional"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.validate_crc()
    assert not RecordBatches(data[:-1] + b"?").next_batch().validate_crc()
    assert RecordBatches(data).size_in_bytes() == len(data)


def test_the_time_of_the_broker_counts_where_it_stamps() -> None:
    data = bytearray(record_batch([(b"1", b"x", [(b"\xff", b"")])] * 3, first_ms=5_000))
    data[22] |= 0x08  # log append time: the broker stamps the whole batch with the latest
    assert [(record.timestamp, record.timestamp_type) for record in read_records(memoryview(bytes(data)))] == [
        (5_002, 1)
    ] * 3


def test_an_answer_cut_off_in_a_batch_ends_before_it() -> None:
    """A broker cuts its answer at a number of bytes, within a batch where that falls."""
    data = record_batch([(b"1", b"x", [])])
    assert len(in_order(data + data[:-5])) == 1
