-- What both sides of a check say is hashed and weighed by the same functions
-- depends: 0025_one_slice

-- migrate: apply

-- All are inlined (not strict, one expression, immutable): a call costs nothing. Each hash is the seed of the next, so
-- that what was exchanged between two columns tells; whoever calls gives the first, for what hides behind one hides
-- behind no other.
CREATE FUNCTION ops.digest_of_version(
    aggregate_type text, aggregate_id bigint, version integer, recorded_at timestamptz, occurred_at timestamptz, property_id bigint,
    balance_date date, hash_version smallint, content_hash bytea, seed bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(aggregate_type, hashint8extended(aggregate_id, hashint4extended(version,
           timestamptz_hash_extended(recorded_at, timestamptz_hash_extended(occurred_at, hashint8extended(property_id,
           hashdateextended(balance_date, hashint2extended(hash_version, hashbyteaextended(content_hash, seed)))))))))
$$;
COMMENT ON FUNCTION ops.digest_of_version IS 'What a stored event and the snapshot made from it both say of a version.';

-- A hash of nothing is nothing: what may be absent has a hash of its own for that.
CREATE FUNCTION ops.digest_of_transaction(
    aggregate_type text, aggregate_id bigint, version integer, occurred_at timestamptz, property_id bigint, balance_date date,
    status text, payment_mode text, amount_cents bigint, currency text, created_at timestamptz, created_by_user_id bigint,
    approved_at timestamptz, approved_by_user_id bigint, seed bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(aggregate_type, hashint8extended(aggregate_id, hashint4extended(version,
           timestamptz_hash_extended(occurred_at, hashint8extended(property_id, hashdateextended(balance_date,
           hashtextextended(status, hashtextextended(payment_mode, hashint8extended(amount_cents,
           timestamptz_hash_extended(created_at, hashint8extended(created_by_user_id,
           coalesce(hashtextextended(currency, seed), 1) # coalesce(timestamptz_hash_extended(approved_at, seed + 1), 2)
           # coalesce(hashint8extended(approved_by_user_id, seed + 2), 3))))))))))))
$$;
COMMENT ON FUNCTION ops.digest_of_transaction IS
    'What a snapshot, with its property, and a row of revenues or expenses both say of a transaction.';

CREATE FUNCTION ops.digest_of_count(property_id bigint, balance_date date, declared_closing_cents bigint, seed bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashint8extended(property_id, hashdateextended(balance_date, hashint8extended(declared_closing_cents, seed)))
$$;
COMMENT ON FUNCTION ops.digest_of_count IS 'What a correction and the row of its day both say of a count; nothing where there is none.';

-- read: sums of amounts by day need a group for each day. But each amount times a number drawn at random for its day,
-- added up by organisation, comes to the same on both sides where every day does, and else hardly ever: a linear
-- combination over the integers modulo a prime (Freivalds, 1977), where nothing overflows. The prime, below 2^31, is
-- drawn too: whatever is wrong by a multiple of one prime would never tell under that one.
CREATE FUNCTION ops.weighed(
    cents bigint, property_id bigint, balance_date date, aggregate_type text, payment_mode text, seed bigint, prime bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (cents % prime) * (2147483647 & hashint8extended(property_id, hashdateextended(balance_date,
           hashtextextended(aggregate_type, hashtextextended(payment_mode, seed))))) % prime
$$;
COMMENT ON FUNCTION ops.weighed IS 'What an amount adds to an organisation''s weighed sum, modulo the prime.';

CREATE FUNCTION ops.weighed_day(
    cash_received bigint, bank_received bigint, cash_expenses bigint, bank_expenses bigint, property_id bigint, balance_date date,
    seed bigint, prime bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ops.weighed(cash_received, property_id, balance_date, 'revenue', 'cash', seed, prime)
           + ops.weighed(bank_received, property_id, balance_date, 'revenue', 'bank', seed, prime)
           + ops.weighed(cash_expenses, property_id, balance_date, 'expense', 'cash', seed, prime)
           + ops.weighed(bank_expenses, property_id, balance_date, 'expense', 'bank', seed, prime)
$$;
COMMENT ON FUNCTION ops.weighed_day IS 'What the four movements of a day add to an organisation''s weighed sum.';

-- migrate: rollback

DROP FUNCTION ops.weighed_day, ops.weighed, ops.digest_of_count, ops.digest_of_transaction, ops.digest_of_version;
