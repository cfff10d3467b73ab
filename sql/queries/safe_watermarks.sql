-- safe_watermarks: of each lane, in order, until when the books of the organisations at home there are settled.
SELECT $1::bigint AS org_id, coalesce(ops.safe_watermarks(), ARRAY[]::timestamptz[]) AS watermarks
