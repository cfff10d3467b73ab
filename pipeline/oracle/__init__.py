"""The oracle behind `folio verify`: the books folded a second time, with no code in common.

decode.py    a record to an event, or to the reason why not   (pure; decode_corrections.py to a correction; below both
             decode_headers.py, strict_json.py, decode_msgpack.py)
order.py     in which order records count where offsets do not tell
fold.py      records to books: what the database must hold    (pure; fold_corrections.py for corrections; books.py has
             the books, daily.py sums and carries days, routing.py)
compare.py   books and rows to differences                    (pure; content_hash.py; compare_corrections.py,
             compare_days.py for balances, compare_updates.py for what was told of them; expiry.py and commits.py for
             which updates the topic must still hold, and which ones the snapshot of the database)
topics.py    reading Kafka
database.py  reading PostgreSQL
reconcile.py the proof, from top to bottom; report.py what it found
"""

from pipeline.oracle.reconcile import reconcile
from pipeline.oracle.report import Report

__all__ = ["Report", "reconcile"]
