"""Corrections as producers sent them once are read the same for ever, and what was refused stays refused.

As with the events: the samples are never edited, new ones may be added.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from schemas.codec import Rules, judge_correction
from schemas.content_hash import correction_hash
from schemas.corrections import CorrectionKind
from schemas.reasons import Reason
from schemas.records import AcceptedCorrection, Origin, Rejected
from schemas.topics import BALANCE_CORRECTIONS

SAMPLES = Path(__file__).parents[1] / "samples"
CORRECTIONS = sorted((SAMPLES / "corrections").glob("*.json"))
POISON = sorted((SAMPLES / "corrections_poison").glob("*.json"))
HASHES: dict[str, str] = json.loads((SAMPLES / "correction_hashes.json").read_text())

# The time and the rules under which the samples were made; the defaults of today may differ.
APPENDED_AT = datetime(2025, 11, 23, 12, tzinfo=UTC)
RULES = Rules(past_max=timedelta(days=3660), future_max=timedelta(hours=24))


def judged(value: bytes) -> AcceptedCorrection | Rejected:
    return judge_correction(Origin(BALANCE_CORRECTIONS, 0, 0, APPENDED_AT, b"42", value, ()), RULES)


@pytest.mark.parametrize("sample", CORRECTIONS, ids=lambda sample: sample.stem)
def test_a_correction_is_accepted_with_its_hash(sample: Path) -> None:
    verdict = judged(sample.read_bytes())
    assert isinstance(verdict, AcceptedCorrection), verdict
    assert sample.stem.startswith(verdict.correction.kind)
    assert correction_hash(verdict.correction).hex() == HASHES[sample.stem]
    assert verdict.content_hash.hex() == HASHES[sample.stem]


@pytest.mark.parametrize("sample", POISON, ids=lambda sample: sample.stem)
def test_poison_is_refused_for_the_reason_in_its_name(sample: Path) -> None:
    verdict = judged(sample.read_bytes())
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason(sample.stem.partition(".")[0]), verdict.detail
    assert verdict.detail


def test_every_kind_has_samples_and_every_sample_a_hash_of_its_own() -> None:
    assert {sample.stem.partition(".")[0] for sample in CORRECTIONS} == set(get_args(CorrectionKind))
    assert {sample.stem for sample in CORRECTIONS} == set(HASHES)
    assert len(set(HASHES.values())) == len(HASHES)
