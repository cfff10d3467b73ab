-- org_pauses: from where to where, on each lane, an organisation's records were set aside.
SELECT o.org_id, p.lane, p.finance_from, p.finance_to, p.corrections_from, p.corrections_to
FROM ops.org_pauses AS o
JOIN ops.org_pause_positions AS p USING (pause_id)
