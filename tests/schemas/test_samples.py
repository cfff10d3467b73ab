"""Events as producers sent them once are read the same for ever, and what was refused stays refused for its reason.

The samples are never edited: a sample that changes its verdict or its hash is a broken promise to every producer
and to every event store. New ones may be added.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from schemas.codec import Rules, judge
from schemas.content_hash import content_hash_v1
from schemas.events import EventType
from schemas.reasons import Reason
from schemas.records import Accepted, Judged, Origin, Rejected
from schemas.topics import FINANCE_EVENTS

SAMPLES = Path(__file__).parents[1] / "samples"
EVENTS = sorted((SAMPLES / "events").glob("*.json"))
POISON = sorted((SAMPLES / "poison").glob("*.json"))
CONTENT_HASHES: dict[str, str] = json.loads((SAMPLES / "content_hashes.json").read_text())

# The time and the rules under which the samples were made; the defaults of today may differ.
APPENDED_AT = datetime(2025, 11, 23, 12, tzinfo=UTC)
RULES = Rules(past_max=timedelta(days=3660), future_max=timedelta(hours=24))


def judged(sample: Path) -> Judged:
    return judge(Origin(FINANCE_EVENTS, 0, 0, APPENDED_AT, b"42", sample.read_bytes(), ()), RULES)


@pytest.mark.parametrize("sample", EVENTS, ids=lambda sample: sample.stem)
def test_an_event_is_accepted_with_its_hash(sample: Path) -> None:
    verdict = judged(sample)
    assert isinstance(verdict, Accepted), verdict
    assert sample.stem.startswith(verdict.event.type)
    # Version 1 of the hash, whichever is the newest.
    assert content_hash_v1(verdict.event).hex() == CONTENT_HASHES[sample.stem]


@pytest.mark.parametrize("sample", POISON, ids=lambda sample: sample.stem)
def test_poison_is_refused_for_the_reason_in_its_name(sample: Path) -> None:
    verdict = judged(sample)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason(sample.stem.partition(".")[0]), verdict.detail
    assert verdict.detail


def test_every_type_has_samples_and_every_sample_a_hash() -> None:
    assert {".".join(sample.stem.split(".")[:2]) for sample in EVENTS} == set(get_args(EventType))
    assert {sample.stem for sample in EVENTS} == set(CONTENT_HASHES)


def test_no_two_samples_say_the_same() -> None:
    assert len(set(CONTENT_HASHES.values())) == len(CONTENT_HASHES)
