"""The oracle's content hash and the pipeline's share no line, and must come to one value for every event."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.oracle import decode, records
from pipeline.oracle.content_hash import HASH_VERSION, content_hash
from schemas import codec
from schemas.content_hash import HASH_VERSION as PIPELINES_VERSION
from schemas.content_hash import content_hash as pipelines_hash
from schemas.records import Accepted, Origin
from tests.oracle.builders import NOON, event
from tests.oracle.strategies import APPENDED_AT, THOROUGH, encode, events

SAMPLES = Path(__file__).parents[1] / "samples"
# Hashes of the first release, never to change.
HASHES: dict[str, str] = json.loads((SAMPLES / "content_hashes.json").read_text())
EVER, SOON = timedelta(days=60_000), timedelta(days=365)
VERB = {"pending": "created", "approved": "approved", "rejected": "rejected", "deleted": "deleted"}


def judged(value: bytes) -> decode.Event:
    rules = records.Rules(0, EVER, SOON, "INR", "Asia/Kolkata", "register", 8)
    verdict = decode.judge(records.Record(0, 0, APPENDED_AT, value), rules)
    assert isinstance(verdict, decode.Event), verdict
    return verdict


far_and_near = st.integers(-50_000 * 24 * 60 * 60 * 10**6, 10**12).map(
    lambda microseconds: (APPENDED_AT + timedelta(microseconds=microseconds)).isoformat()
)


@THOROUGH
@given(events, far_and_near)
def test_of_any_event_it_is_the_pipelines(body: dict[str, Any], occurred_at: str) -> None:
    body["occurred_at"] = occurred_at
    kind = body["type"].partition(".")[0]
    value = encode(body | {"type": f"{kind}.{VERB[body['data']['status']]}"})
    accepted = codec.judge(Origin("finance-events", 0, 0, APPENDED_AT, None, value, ()), codec.Rules(EVER, SOON))
    assume(isinstance(accepted, Accepted))  # all but texts with NUL
    assert isinstance(accepted, Accepted)
    assert content_hash(judged(value)) == pipelines_hash(accepted.event, HASH_VERSION) == accepted.content_hash


def test_it_is_of_the_version_that_the_pipeline_stores() -> None:
    assert HASH_VERSION == PIPELINES_VERSION


@pytest.mark.parametrize("name", HASHES)
def test_of_a_sample_it_is_what_it_always_was(name: str) -> None:
    value = (SAMPLES / "events" / f"{name}.json").read_bytes()
    assert content_hash(judged(value)).hex() == HASHES[name]


OTHERS: dict[str, Any] = {
    "org_id": 8,
    "aggregate_id": 2,
    "version": 2,
    "type": "expense.approved",
    "property_id": 71,
    "user_id": 2,
    "amount_cents": 101,
    "payment_mode": "bank",
    "status": "pending",
    "currency": "INR",
    "category": None,
    "description": "",
    "bank_reference": "",
    "source": "",
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_field_of_the_list_counts(name: str) -> None:
    assert content_hash(event(**{name: OTHERS[name]})) != content_hash(event())


@pytest.mark.parametrize("step", [timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=-1)])
def test_an_instant_counts_to_the_microsecond(step: timedelta) -> None:
    assert content_hash(event(occurred_at=NOON + step)) != content_hash(event())


def test_the_record_does_not_count() -> None:
    assert content_hash(event(5, lane=3, appended_at=NOON + timedelta(days=1))) == content_hash(event())
