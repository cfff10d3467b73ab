"""The page about dead letters says what the code says."""

from pathlib import Path

from pipeline.reasons_reference import WHO_ACTS, reference
from schemas.reasons import MEANING, Reason

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dead-letters.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run `python -m pipeline.reasons_reference > docs/dead-letters.md`"


def test_every_reason_has_its_meaning_and_someone_who_acts() -> None:
    assert MEANING.keys() == WHO_ACTS.keys() == set(Reason)
