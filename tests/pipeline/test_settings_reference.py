"""The page of the settings says what the code says."""

from pathlib import Path

from pipeline.settings import variables
from pipeline.settings_reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run `python -m pipeline.settings_reference > docs/settings.md`"


def test_every_setting_is_on_the_page() -> None:
    page = reference()
    assert all(f"`{variable}`" in page for variable in variables())


def test_the_page_says_where_a_profile_differs() -> None:
    row = next(line for line in reference().splitlines() if line.startswith("| `FOLIO_KAFKA_LANES`"))
    assert "production `64`; staging `16`" in row
