-- finance_positions: up to where each lane has decided what became of its events.
SELECT lane, finance_position
FROM ops.finance_positions()
