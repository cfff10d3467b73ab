"""What producers send: valid events in all their variety, for hypothesis."""

import json
import os
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st

APPENDED_AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
PAST_MAX, FUTURE_MAX = timedelta(days=400), timedelta(hours=24)

# Enough to meet the shapes that matter in each run; `make campaign` takes ten times as many.
EXAMPLES = int(os.environ.get("FOLIO_TEST_EXAMPLES", "500"))
THOROUGH = settings(max_examples=EXAMPLES, deadline=None)

identifiers = st.integers(1, 2**63 - 1)
texts = st.none() | st.text(max_size=100)
offsets = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+0530", "+05:30", "-12:00", "+23:59"])
fractions = st.just("") | st.text("0123456789", min_size=1, max_size=12).map(lambda digits: "." + digits)
instants = st.builds(
    lambda at, separator, fraction, offset: at.strftime(f"%Y-%m-%d{separator}%H:%M:%S") + fraction + offset,
    st.integers(-405 * 24 * 60 * 60, 3 * 24 * 60 * 60).map(lambda s: APPENDED_AT + timedelta(seconds=s)),
    st.sampled_from("Tt "),
    fractions,
    offsets,
)
types = st.builds(
    "{}.{}".format,
    st.sampled_from(["revenue", "expense"]),
    st.sampled_from(["created", "updated", "approved", "rejected", "deleted"]),
)
data = st.fixed_dictionaries(
    {
        "amount_cents": st.integers(1, 10**12),
        "payment_mode": st.sampled_from(["cash", "bank"]),
        "status": st.sampled_from(["pending", "approved", "rejected", "deleted"]),
    },
    optional={
        "currency": st.none() | st.sampled_from(["INR", "USD"]),
        "category": texts,
        "description": texts,
        "bank_reference": texts,
        "source": texts,
        "nights": st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    },
)
uuids = st.uuids().map(str) | st.uuids().map(lambda uuid: uuid.hex.upper())
events = st.fixed_dictionaries(
    {
        "event_id": uuids,
        "type": types,
        "org_id": identifiers,
        "property_id": identifiers,
        "aggregate_id": identifiers,
        "version": st.integers(1, 2**31 - 1),
        "occurred_at": instants,
        "recorded_by": st.fixed_dictionaries({"user_id": identifiers}, optional={"name": texts}),
        "data": data,
    },
    optional={"trace": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)},
)

cents = st.integers(0, 10**15)
stated_figures = st.fixed_dictionaries(
    {
        "cash_received_cents": cents,
        "bank_received_cents": cents,
        "cash_expenses_cents": cents,
        "bank_expenses_cents": cents,
    }
)
by_kind = st.one_of(
    st.fixed_dictionaries({"kind": st.just("recompute")}),
    st.fixed_dictionaries({"kind": st.just("figures"), "figures": stated_figures}),
    st.fixed_dictionaries(
        {
            "kind": st.just("declared_closing"),
            "declared_closing_cents": st.none() | st.integers(-(10**15), 10**15),
        }
    ),
)
corrections = st.builds(
    lambda common, kind: common | kind,
    st.fixed_dictionaries(
        {
            "correction_id": uuids,
            "org_id": identifiers,
            "property_id": identifiers,
            "balance_date": st.integers(-405, 5).map(lambda d: (APPENDED_AT.date() + timedelta(d)).isoformat()),
            "reason": st.text(min_size=1, max_size=100),
            "recorded_by": st.fixed_dictionaries({"user_id": identifiers}, optional={"name": texts}),
            "issued_at": instants,
        },
        optional={"trace": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)},
    ),
    by_kind,
)


def encode(document: object) -> bytes:
    return json.dumps(document).encode()
