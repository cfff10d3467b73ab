"""Months of the partitioned tables: made before they are needed, taken away past retention, brought back from archives.

state ── read from the catalogs ──▶ planning ── pure ──▶ Plan: steps in order ──▶ applying: each in a transaction
                                └─▶ standing ── pure ──▶ runway, lag, problems     of its own, any number of times
"""
