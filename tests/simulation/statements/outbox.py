"""The outbox, and the dead letters that leave by it."""

from collections.abc import Sequence
from typing import Any, Final

from tests.simulation.database import Transaction
from tests.simulation.statements.registry import Moment, Staged, Values, names, picked, statement

_OUTBOX_ROWS_READ: Final = 64
_OUTBOX: Final = "lane seq batch_id updates letter_count chain_head"
_LETTER: Final = "outbox_seq topic lane record_offset reason detail appended_at record_key record_value headers"


@statement("append_outbox")
async def _append_outbox(at: Transaction, _staged: Staged, _moment: Moment, lane: int, seq: int, *rest: Any) -> Values:
    columns_of = names("batch_id recorded_at update_count updates letter_count letter_bytes chain_head")
    await at.insert("outbox", (lane, seq), {"lane": lane, "seq": seq, **dict(zip(columns_of, rest, strict=True))})
    return ()


@statement("batch_outbox", _OUTBOX)
async def _batch_outbox(at: Transaction, _staged: Staged, _moment: Moment, lanes: Sequence[int], batch: Any) -> Values:
    rows = sorted(at.rows("outbox"), key=lambda row: row[0])
    return [picked(row, _OUTBOX) for key, row in rows if key[0] in lanes and row["batch_id"] == batch]


@statement("read_outbox", _OUTBOX)
async def _read_outbox(
    at: Transaction, _staged: Staged, _moment: Moment, lane: int, after: int, bytes_max: int
) -> Values:
    found, size = [], 0
    rows = sorted((key, row) for key, row in at.rows("outbox") if key[0] == lane and key[1] > after)
    for _, row in rows[:_OUTBOX_ROWS_READ]:
        if size and size >= bytes_max:
            break
        found.append(picked(row, _OUTBOX))
        size += len(row["updates"]) + row["letter_bytes"]
    return found


@statement("trim_outbox")
async def _trim_outbox(at: Transaction, _staged: Staged, _moment: Moment, lane: int) -> Values:
    row = at.get("lanes", (lane,))
    if row is not None:
        done = min(row["published_seq"], row["invalidated_seq"])
        for key in [key for key, _ in at.rows("outbox") if key[0] == lane and key[1] <= done]:
            await at.delete("outbox", key)
    return ()


@statement("append_dead_letters")
async def _append_dead_letters(at: Transaction, _staged: Staged, _moment: Moment, *values: Any) -> Values:
    columns_of = names(
        "topic lane record_offset reason detail appended_at recorded_at record_key record_value headers outbox_seq"
    )
    row = dict(zip(columns_of, values, strict=True))
    key = (row["topic"], row["lane"], row["record_offset"])
    if await at.lock("dead_letters", key) is None:
        await at.put("dead_letters", key, row)
    return ()


@statement("read_letters", _LETTER)
async def _read_letters(at: Transaction, _staged: Staged, moment: Moment, lane: int, seqs: Sequence[int]) -> Values:
    rows = [row for _, row in at.rows("dead_letters") if row["lane"] == lane and row["outbox_seq"] in seqs]
    rows.sort(key=lambda row: (row["outbox_seq"], row["topic"], row["record_offset"]))
    return [picked({**row, "appended_at": moment(row["appended_at"])}, _LETTER) for row in rows]
