"""The planted bugs still fit the code: the campaign itself takes minutes, and is run by hand (`make plant`)."""

from pathlib import Path

import pytest

from tests.planting.__main__ import ROOT
from tests.planting.bugs import BUGS, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_still_has_its_place_and_its_test(bug: Bug) -> None:
    assert bug.old in (ROOT / bug.file).read_text(encoding="utf-8")
    path, _, test = bug.test.partition("::")
    name = test.partition("[")[0].rpartition("::")[2]
    assert not test or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_the_page_lists_each() -> None:
    page = (Path(ROOT) / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert [bug.name for bug in BUGS if f"| {bug.name} |" not in page] == []
