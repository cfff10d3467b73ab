"""The dependency audit says what it found, and never passes off silence for safety."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOUND = {"name": "sound", "version": "1.0", "vulns": []}
SKIPPED = {"name": "skipped", "skip_reason": "Dependency not found"}
BAD = {
    "name": "bad",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


@pytest.mark.parametrize(
    ("packages", "code", "text"),
    [
        ([SOUND], 0, "1 packages, no known vulnerability"),
        ([SOUND, BAD], 1, "bad 2.0: PYSEC-1, mended in 2.1; bad 2.0: PYSEC-2, mended in none yet"),
        ([SKIPPED, BAD], 1, "bad 2.0: PYSEC-1"),
        ([SOUND, SKIPPED], 0, "NOT AUDITED, 1 of 2 packages are unknown"),
    ],
)
def test_what_was_found_is_said(audit: Any, packages: list[dict[str, Any]], code: int, text: str) -> None:
    verdict = audit.judge(json.dumps({"dependencies": packages}), "")
    assert verdict.code == code
    assert text in verdict.text


@pytest.mark.parametrize(
    ("stdout", "stderr", "code", "text"),
    [
        ("", "Traceback\nrequests.exceptions.ConnectionError: no route\n", 0, "NOT AUDITED, requests.exceptions"),
        ("", "ERROR:pip_audit: runtime.txt: no such file\n", 1, "broken: ERROR:pip_audit: runtime.txt"),
        ("", "", 1, "broken: pip-audit said nothing"),
        ('{"dependencies": []}', "", 1, "broken"),
        ('{"results": []}', "", 1, "broken"),
    ],
)
def test_an_audit_that_could_not_be_made_is_told_apart_from_one_that_is_broken(
    audit: Any, stdout: str, stderr: str, code: int, text: str
) -> None:
    verdict = audit.judge(stdout, stderr)
    assert verdict.code == code
    assert text in verdict.text
