"""Ways in which somebody may have hurt the books, as far as their constraints allow."""

from typing import Final

DAMAGES: Final = {
    "a snapshot's amount": """
        UPDATE event_store.snapshots
        SET amount_cents = amount_cents + 1,
            contribution_cents = CASE status WHEN 'approved' THEN amount_cents + 1 ELSE 0 END
        WHERE aggregate_id % 5 = 0""",
    "a snapshot's version": "UPDATE event_store.snapshots SET version = version + 7 WHERE aggregate_id % 4 = 0",
    "who made and approved": "UPDATE event_store.snapshots SET created_by_user_id = 1, approved_by_user_id = 1",
    "snapshots that are gone": "DELETE FROM event_store.snapshots WHERE aggregate_id % 3 = 0",
    "a snapshot of nothing": """
        INSERT INTO event_store.snapshots
        SELECT org_id, aggregate_type, 999999, version, hash_version, content_hash, property_id, occurred_at,
               balance_date, payment_mode, status, amount_cents, contribution_cents, created_at, created_by_user_id,
               approved_at, approved_by_user_id, updated_at
        FROM event_store.snapshots
        LIMIT 1""",
    "a row's text": "UPDATE finance.revenues_partitioned SET description = 'paid twice' WHERE id % 4 = 0",
    "a row's instant": "UPDATE finance.expenses_partitioned SET occurred_at = occurred_at - interval '40 days'",
    "rows that are gone": "DELETE FROM finance.revenues_partitioned WHERE id % 3 = 0",
    "a row of nothing": """
        INSERT INTO finance.revenues_partitioned
        SELECT org_id, 999999, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status,
               category, description, bank_reference, source, version, created_by_user_id, created_at,
               approved_by_user_id, approved_at, updated_at
        FROM finance.revenues_partitioned
        LIMIT 1""",
    "a day's movements": """
        UPDATE finance.daily_cash_balances_partitioned
        SET cash_received_cents = cash_received_cents + 5,
            calculated_closing_balance_cents = calculated_closing_balance_cents + 5,
            closing_balance_cents = coalesce(declared_closing_cents, calculated_closing_balance_cents + 5),
            balance_discrepancy_cents = coalesce(declared_closing_cents - calculated_closing_balance_cents - 5, 0)
        WHERE property_id = 1""",
    "an opening": """
        UPDATE finance.daily_cash_balances_partitioned
        SET opening_balance_cents = opening_balance_cents + 9,
            calculated_closing_balance_cents = calculated_closing_balance_cents + 9,
            closing_balance_cents = closing_balance_cents + 9
        WHERE declared_closing_cents IS NULL""",
    "a count": """
        UPDATE finance.daily_cash_balances_partitioned
        SET declared_closing_cents = NULL, closing_balance_cents = calculated_closing_balance_cents,
            balance_discrepancy_cents = 0""",
    "days that are gone": "DELETE FROM finance.daily_cash_balances_partitioned WHERE property_id = 2 AND "
    "(cash_received_cents, bank_received_cents, cash_expenses_cents, bank_expenses_cents) <> (0, 0, 0, 0)",
}
