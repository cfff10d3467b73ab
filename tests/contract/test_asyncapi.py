"""The AsyncAPI document, by the field's own validator, and what that one cannot know."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract.asyncapi import document
from pipeline.contract.documents import text
from schemas.topics import BALANCE_CORRECTIONS, FINANCE_EVENTS, REALTIME_UPDATES

VALIDATOR = Path(__file__).parent / "asyncapi"
COMMAND = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
# A registry that is not there is noticed at once, not after npm's own minutes.
PATIENCE = ("--fetch-retries=1", "--fetch-timeout=20000")
INSTALL_SECONDS_MAX = 80
# How npm says that the network, not the lock, is at fault.
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")
# We write 3.0 on purpose: more tools read it.
ON_PURPOSE = "asyncapi-latest-version"


def skip(reason: str) -> None:
    pytest.skip(f"{reason}; where Node.js 18+ and its registry are: `{' '.join(COMMAND)}` in tests/contract/asyncapi")


@pytest.fixture
def validator(tmp_path: Path) -> Path:
    """The pinned validator, installed in a folder of its own."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        skip("node and npm are not installed")
    for file in VALIDATOR.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    try:
        done = run(*COMMAND, *PATIENCE, folder=tmp_path)
    except subprocess.TimeoutExpired:
        skip(f"npm was not done after {INSTALL_SECONDS_MAX} s")
    if done.returncode and any(code in done.stderr for code in UNREACHABLE):
        skip("npm cannot reach its registry")
    assert done.returncode == 0, done.stderr
    return tmp_path


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False
    )


def faults(validator: Path, text_: str) -> list[str]:
    (validator / "document.json").write_text(text_)
    done = run("node", "validate.js", "document.json", folder=validator)
    assert done.returncode == 0, done.stderr
    return [f"{found['code']}: {found['message']}" for found in json.loads(done.stdout) if found["code"] != ON_PURPOSE]


def test_the_fields_own_validator_finds_nothing_and_notices_planted_faults(validator: Path) -> None:
    assert faults(validator, text(document())) == []
    for plant in (_a_schema_that_is_none, _an_unknown_action, _a_dead_reference):
        spoiled = document()
        plant(spoiled)
        assert faults(validator, text(spoiled)), plant.__name__


def _a_schema_that_is_none(spoiled: dict[str, Any]) -> None:
    spoiled["components"]["schemas"]["FinanceEvent"]["properties"]["org_id"]["type"] = "number of an organisation"


def _an_unknown_action(spoiled: dict[str, Any]) -> None:
    spoiled["operations"]["sendRealtimeUpdates"]["action"] = "shout"


def _a_dead_reference(spoiled: dict[str, Any]) -> None:
    spoiled["channels"][FINANCE_EVENTS]["messages"]["FinanceEvent"]["$ref"] = "#/components/messages/Nothing"


def test_the_application_receives_two_topics_and_sends_one() -> None:
    operations = document()["operations"].values()
    assert {
        (operation["channel"]["$ref"].removeprefix("#/channels/"), operation["action"]) for operation in operations
    } == {
        (FINANCE_EVENTS, "receive"),
        (BALANCE_CORRECTIONS, "receive"),
        (REALTIME_UPDATES, "send"),
    }


def test_the_lock_names_no_host_and_every_package_has_its_hash() -> None:
    lock = json.loads((VALIDATOR / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert "://" not in (VALIDATOR / "package-lock.json").read_text()
    assert all(package.get("integrity") for package in packages.values())
