-- enter_org: make this transaction one organisation's reader; all of it ends with the transaction.
-- In this order: whoever has become the reader may still name its organisation and its bounds, and nothing else. Generic plans:
-- a report names some hundred partitions, and planning it for each question would take longer than answering it.
SELECT set_config('role', $1, true), set_config('folio.org_id', $2::bigint::text, true),
       set_config('statement_timeout', $3, true), set_config('plan_cache_mode', 'force_generic_plan', true)
