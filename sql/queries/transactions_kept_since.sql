-- transactions_kept_since: every transaction that occurred from then on has its row; of older ones some have none, and rightly.
SELECT ops.transactions_kept_since()
