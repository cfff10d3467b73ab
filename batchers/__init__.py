"""Decide, coalesce, commit: from judged records to exact books, and then to updates that everyone can see."""
