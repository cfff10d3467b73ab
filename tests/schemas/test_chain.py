"""The chain's bytes: what the worker hashes is what the oracle makes of the page, for any row."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pipeline.oracle import chain as oracle
from schemas.chain import EVENT_COLUMNS, LinkId, head_after
from schemas.instants import instant_of

TEXT = some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
NUMBER = some.integers(-(2**63), 2**63 - 1)
COLUMN = some.one_of(
    *(NUMBER, TEXT, some.none(), some.binary(max_size=70_000), some.uuids(), some.dates()),
    some.datetimes(timezones=some.just(UTC)),
)
ROW = some.lists(COLUMN, min_size=len(EVENT_COLUMNS), max_size=len(EVENT_COLUMNS))


def as_the_worker_has_it(value: Any) -> Any:
    return instant_of(value) if isinstance(value, datetime) else value


@given(some.lists(ROW, max_size=3), some.binary(min_size=16, max_size=32), TEXT, NUMBER, some.uuids())
def test_the_oracle_makes_the_same_head(
    rows: Sequence[Sequence[Any]], before: bytes, epoch: str, seq: int, batch_id: UUID
) -> None:
    ours = [tuple(map(as_the_worker_has_it, row)) for row in rows]
    head = head_after(before, LinkId(3, seq, batch_id, 7, epoch, len(rows), 0), ours)
    instant = datetime(2026, 3, 1, tzinfo=UTC)
    link = oracle.Link(3, seq, batch_id, 7, epoch, len(rows), 0, instant, instant, before, head)
    assert oracle.head_after(before, link, map(oracle.packed, rows)) == head


A_ROW = (
    *(0, 1, 2, 3, "revenue", 4, 1, "revenue.approved", UUID(int=5), 6, date(2026, 3, 1), -1, 300, "applied", 1),
    *(b"\x01" * 16, b"{}", None),
)


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 255, 256, 257, 600])
def test_rows_are_hashed_alike_however_many_at_a_time(rows: int) -> None:
    epoch, instant = "7-1", datetime(2026, 3, 1, tzinfo=UTC)
    head = head_after(bytes(16), LinkId(1, 1, UUID(int=9), 2, epoch, rows, 0), [A_ROW] * rows)
    link = oracle.Link(1, 1, UUID(int=9), 2, epoch, rows, 0, instant, instant, bytes(16), head)
    assert oracle.head_after(bytes(16), link, [oracle.packed(A_ROW)] * rows) == head


def test_version_1_is_frozen() -> None:
    link = LinkId(1, 1, UUID(int=9), 2, "7-1", 1, 0)
    assert (
        head_after(bytes(16), link, [A_ROW]).hex() == "496b7d6206a34cf84cc92e7d11d9354444402eaef3b417840a6d99973e646ad8"
    )
