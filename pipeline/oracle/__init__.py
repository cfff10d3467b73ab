"""The oracle behind `folio verify`: the books folded a second time, with no code in common.

decode.py    a record to an event, or to the reason why not   (pure; strict_json.py below it)
fold.py      records to books: what the database must hold    (pure; daily.py sums and carries days, routing.py)
compare.py   books and rows to differences                    (pure; content_hash.py; compare_days.py for balances
             and updates, expiry.py for what the topic of updates must still hold)
topics.py    reading Kafka
database.py  reading PostgreSQL
reconcile.py the proof, from top to bottom; report.py what it found
"""

from pipeline.oracle.reconcile import reconcile
from pipeline.oracle.report import Report

__all__ = ["Report", "reconcile"]
