"""Producers, workers and subscribers are not released together: old readers meet new fields, new readers old samples.

`test_samples` and `test_correction_samples` hold the second half for what is consumed; here are the first half, and
the updates that we publish.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from schemas.corrections import BalanceCorrection
from schemas.events import FinanceEvent
from schemas.records import Accepted, AcceptedCorrection
from schemas.updates import BalanceUpdate, encode_update
from tests.schemas import test_correction_samples, test_samples

SAMPLES = Path(__file__).parents[1] / "samples"
UPDATES = sorted((SAMPLES / "updates").glob("*.json"))
NEW_FIELD = "a_field_of_tomorrow"


# What a reader was at the first release, written down: it never follows the code, that is its point.
class FirstRecorder(msgspec.Struct):
    user_id: int
    name: str | None = None


class FirstData(msgspec.Struct):
    amount_cents: int
    payment_mode: str
    status: str
    currency: str | None = None
    category: str | None = None
    description: str | None = None
    bank_reference: str | None = None
    source: str | None = None


class FirstEvent(msgspec.Struct):
    event_id: UUID
    type: str
    org_id: int
    property_id: int
    aggregate_id: int
    version: int
    occurred_at: datetime
    recorded_by: FirstRecorder
    data: FirstData


class FirstUpdate(msgspec.Struct):
    org_id: int
    property_id: int
    balance_date: str
    epoch: str
    version: int
    opening_balance_cents: int
    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int
    calculated_closing_balance_cents: int
    declared_closing_cents: int | None
    closing_balance_cents: int
    balance_discrepancy_cents: int
    changed_at: datetime
    cause: str
    event_id: str | None


class LaterEvent(FinanceEvent, frozen=True, gc=False, kw_only=True):
    """A reader of tomorrow: one more field, which no old record has."""

    a_field_of_tomorrow: str | None = None


class LaterCorrection(BalanceCorrection, frozen=True, gc=False, kw_only=True):
    """A reader of tomorrow: one more field, which no old record has."""

    a_field_of_tomorrow: str | None = None


def with_new_fields(body: Any) -> Any:
    """The document with a field that nobody knows yet in every object of it."""
    if isinstance(body, list):
        return [with_new_fields(item) for item in body]
    if not isinstance(body, dict):
        return body
    return {name: with_new_fields(value) for name, value in body.items()} | {NEW_FIELD: {"of": ["any", 1.5, None]}}


def of_tomorrow(sample: Path) -> bytes:
    return json.dumps(with_new_fields(json.loads(sample.read_bytes()))).encode()


@pytest.mark.parametrize("sample", test_samples.EVENTS, ids=lambda sample: sample.stem)
def test_an_event_with_new_fields_says_the_same_to_this_reader(sample: Path, tmp_path: Path) -> None:
    newer = tmp_path / sample.name
    newer.write_bytes(of_tomorrow(sample))
    old, new = test_samples.judged(sample), test_samples.judged(newer)
    assert isinstance(old, Accepted)
    assert isinstance(new, Accepted), new
    assert (new.event, new.content_hash) == (old.event, old.content_hash)
    # The store keeps the record's own bytes: what is not understood today can be read tomorrow.
    assert new.origin.value == newer.read_bytes()


@pytest.mark.parametrize("sample", test_correction_samples.CORRECTIONS, ids=lambda sample: sample.stem)
def test_a_correction_with_new_fields_says_the_same_to_this_reader(sample: Path) -> None:
    old, new = (test_correction_samples.judged(value) for value in (sample.read_bytes(), of_tomorrow(sample)))
    assert isinstance(old, AcceptedCorrection)
    assert isinstance(new, AcceptedCorrection), new
    assert (new.correction, new.content_hash) == (old.correction, old.content_hash)
    assert new.origin.value == of_tomorrow(sample)


@pytest.mark.parametrize("sample", test_samples.EVENTS, ids=lambda sample: sample.stem)
@pytest.mark.parametrize("bytes_of", [Path.read_bytes, of_tomorrow], ids=["as it is", "with new fields"])
def test_a_reader_of_the_first_release_reads_every_event(bytes_of: Callable[[Path], bytes], sample: Path) -> None:
    old = msgspec.json.decode(bytes_of(sample), type=FirstEvent)
    new = msgspec.json.decode(sample.read_bytes(), type=FinanceEvent)
    assert msgspec.to_builtins(old) == msgspec.to_builtins(new)


@pytest.mark.parametrize(
    ("samples", "reader", "later"),
    [
        (test_samples.EVENTS, FinanceEvent, LaterEvent),
        (test_correction_samples.CORRECTIONS, BalanceCorrection, LaterCorrection),
    ],
    ids=["events", "corrections"],
)
def test_a_later_reader_reads_every_sample(
    samples: list[Path], reader: type[msgspec.Struct], later: type[msgspec.Struct]
) -> None:
    for sample in samples:
        now = msgspec.json.decode(sample.read_bytes(), type=reader)
        then = msgspec.json.decode(sample.read_bytes(), type=later)
        assert msgspec.structs.asdict(then) == msgspec.structs.asdict(now) | {NEW_FIELD: None}, sample.stem


@pytest.mark.parametrize("sample", UPDATES, ids=lambda sample: sample.stem)
def test_an_update_is_written_as_it_always_was_and_read_by_old_subscribers(sample: Path) -> None:
    update = msgspec.json.decode(sample.read_bytes(), type=BalanceUpdate)
    written = json.loads(encode_update(update).line)
    # New figures may come; none goes, and none changes its name or its form.
    assert written | json.loads(sample.read_bytes()) == written
    subscriber = msgspec.json.decode(of_tomorrow(sample), type=FirstUpdate)
    assert subscriber.changed_at.tzinfo is UTC
    assert subscriber.version == update.version
