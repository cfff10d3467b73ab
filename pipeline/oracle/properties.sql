-- properties: every property, whether it was loaded or registered itself.
SELECT org_id, property_id, self_registered, currency, opening_cash_cents
FROM finance.properties
