"""When a batch is refused or takes too long: two halves, down to the one record that is at fault."""

from dataclasses import replace

from uuid_utils.compat import uuid7

from schemas.lanes import Batch
from schemas.reasons import Reason
from schemas.records import Rejected


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Two batches that go in one after the other, and together say what `batch` says. It must have two records."""
    assert batch.rows > 1
    if len(batch.slices) > 1:
        middle = len(batch.slices) // 2
        return Batch(uuid7(), batch.slices[:middle]), Batch(uuid7(), batch.slices[middle:])
    (slice_,) = batch.slices
    middle = len(slice_.records) // 2
    cut = slice_.records[middle].origin.offset
    first = replace(slice_, end=cut, records=slice_.records[:middle])
    second = replace(slice_, start=cut, records=slice_.records[middle:])
    return Batch(uuid7(), (first,)), Batch(uuid7(), (second,))


def quarantined(batch: Batch, detail: str) -> Batch:
    """The batch of one whose record the database rejects, as a dead letter."""
    (slice_,) = batch.slices
    (record,) = slice_.records
    assert not isinstance(record, Rejected), "a dead letter cannot be quarantined again"
    rejected = Rejected(record.origin, Reason.DATABASE_REJECTED, detail)
    return Batch(uuid7(), (replace(slice_, records=[rejected]),))
