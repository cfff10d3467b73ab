"""The file of a load: every line is checked, and what is wrong is told by its line."""

import hashlib
import re
from pathlib import Path

import pytest

from pipeline.errors import SettingsRefused
from pipeline.properties import file as module
from pipeline.properties.file import BadLine, read_properties

GOOD = '{"org_id": 7, "property_id": %d, "currency": "INR", "time_zones": [{"zone": "Asia/Kolkata"}]}'


def written(folder: Path, text: str, name: str = "properties.ndjson") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_properties_come_with_their_lines_and_blank_lines_count(tmp_path: Path) -> None:
    path = written(tmp_path, f"{GOOD % 1}\n\n{GOOD % 2}\r\n{GOOD % 3}")
    found = read_properties(path)
    assert found.bad == []
    assert found.numbers == {(7, 1): 1, (7, 2): 3, (7, 3): 4}
    assert found.lines.keys() == found.numbers.keys()
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_wrong_line_is_told_by_its_number(tmp_path: Path) -> None:
    found = read_properties(written(tmp_path, f"nonsense\n{GOOD % 1}\n{GOOD % 0}\n{GOOD % 1}\n"))
    assert [bad.number for bad in found.bad] == [1, 3, 4]
    assert found.bad[2] == BadLine(4, "org 7 property 1 is on line 2 already")


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    found = read_properties(written(tmp_path, "x" * 200_000 + f"\n{GOOD % 1}\n"))
    assert [bad.number for bad in found.bad] == [1]
    assert "at most 65536" in found.bad[0].problem


def test_csv_is_read_by_its_extension(tmp_path: Path) -> None:
    text = (
        '\ufefforg_id,property_id,name,currency,time_zone\r\n7,1,"Palace, Goa",INR,Asia/Kolkata\r\n7,2,,JPY,Asia/Tokyo'
    )
    found = read_properties(written(tmp_path, text, "properties.CSV"))
    assert found.bad == []
    assert found.lines[7, 1].name == "Palace, Goa"
    assert found.lines[7, 2].calendar[0][1] == "Asia/Tokyo"
    assert found.numbers[7, 2] == 3


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("org_id,property_id,currency\n7,1,INR\n", 1, "time_zone are required"),
        ("org_id,property_id,currency,time_zone,colour\n", 1, "the header names .*colour"),
        ("", 1, "the header names nothing"),
        ("org_id,property_id,currency,time_zone\n7,1,INR\n", 2, "another number of cells"),
        ("org_id,property_id,currency,time_zone\n7,1,INR,UTC,x\n", 2, "another number of cells"),
        ("org_id,property_id,currency,time_zone\n7,1,INR,UTC\n7,x,INR,UTC\n", 3, "property_id"),
        ('org_id,property_id,currency,time_zone\n7,1,"INR,UTC\n', 2, "CSV in UTF-8"),
    ],
)
def test_a_wrong_table_is_told_by_its_line(tmp_path: Path, text: str, number: int, said: str) -> None:
    (bad,) = read_properties(written(tmp_path, text, "p.csv")).bad
    assert re.search(said, bad.problem)
    assert bad.number == number


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"nowhere\.ndjson: No such file"):
        read_properties(tmp_path / "nowhere.ndjson")


def test_a_file_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROPERTIES_MAX", 2)
    with pytest.raises(SettingsRefused, match="line 3: more than 2 properties; split the file"):
        read_properties(written(tmp_path, "\n".join(GOOD % number for number in (1, 2, 3, 4))))


def test_the_examples_of_the_documentation_can_be_loaded(tmp_path: Path) -> None:
    page = Path(__file__).parents[2].joinpath("docs/properties.md").read_text(encoding="utf-8")
    (examples,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    found = read_properties(written(tmp_path, examples))
    assert found.bad == []
    assert len(found.lines) == 2
