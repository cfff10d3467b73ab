"""The AsyncAPI document, by the field's own validator, and what that one cannot know."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.contract.asyncapi import document
from pipeline.contract.documents import text
from schemas.codec import Rules, judge, judge_correction
from schemas.envelope import envelope_of
from schemas.records import Judged, Origin, Rejected
from schemas.topics import BALANCE_CORRECTIONS, CHAIN_HEADS, FINANCE_EVENTS, REALTIME_UPDATES
from tests.schemas.test_correction_samples import APPENDED_AT, RULES

VALIDATOR = Path(__file__).parent / "asyncapi"
COMMAND = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
# A registry that is not there is noticed at once, not after npm's own minutes.
PATIENCE = ("--fetch-retries=1", "--fetch-timeout=20000")
INSTALL_SECONDS_MAX = 120
# How npm says that the network, not the lock, is at fault.
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")
# We write 3.0 on purpose: more tools read it.
ON_PURPOSE = "asyncapi-latest-version"

CONTENT_TYPES = (
    *("application/json", "application/json; charset=utf-8", "application/msgpack", "application/x-msgpack"),
    *("application/vnd.msgpack", "application/xml", "application/cloudevents+json", "text/json", "application/jsonl"),
)
MSGPACK = b"application/msgpack"
CARRIED: dict[str, tuple[dict[str, str], Callable[[Origin, Rules], Judged]]] = {
    "FinanceEvent": ({"ce_id": "event_id", "ce_type": "type", "ce_time": "occurred_at"}, judge),
    "BalanceCorrection": ({"ce_id": "correction_id", "ce_time": "issued_at"}, judge_correction),
}


def skip(reason: str) -> None:
    needs = "Node.js 18 or later (`apt-get install nodejs npm`) and a registry that npm can reach"
    pytest.skip(f"{reason}; with {needs}: `make test TESTARGS=tests/contract/test_asyncapi.py`")


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


def faults(validator: Path, documents: Sequence[dict[str, Any]]) -> list[list[str]]:
    """What is wrong with each document."""
    names = [f"document-{number}.json" for number in range(len(documents))]
    for name, one in zip(names, documents, strict=True):
        (validator / name).write_text(text(one))
    done = run("node", "validate.js", *names, folder=validator)
    assert done.returncode == 0, done.stderr
    return [
        [f"{fault['code']}: {fault['message']}" for fault in found if fault["code"] != ON_PURPOSE]
        for found in json.loads(done.stdout)
    ]


@pytest.mark.timeout(INSTALL_SECONDS_MAX + 100)
def test_the_fields_own_validator_finds_nothing_and_notices_planted_faults(validator: Path) -> None:
    plants = (_a_schema_that_is_none, _an_unknown_action, _a_dead_reference)
    spoiled = [document() for _ in plants]
    for plant, victim in zip(plants, spoiled, strict=True):
        plant(victim)
    ours, *planted = faults(validator, [document(), *spoiled])
    assert ours == []
    assert all(planted), planted


def _a_schema_that_is_none(spoiled: dict[str, Any]) -> None:
    spoiled["components"]["schemas"]["FinanceEvent"]["properties"]["org_id"]["type"] = "number of an organisation"


def _an_unknown_action(spoiled: dict[str, Any]) -> None:
    spoiled["operations"]["sendRealtimeUpdates"]["action"] = "shout"


def _a_dead_reference(spoiled: dict[str, Any]) -> None:
    spoiled["channels"][FINANCE_EVENTS]["messages"]["FinanceEvent"]["$ref"] = "#/components/messages/Nothing"


def test_the_application_receives_two_topics_and_sends_two() -> None:
    operations = document()["operations"].values()
    assert {
        (operation["channel"]["$ref"].removeprefix("#/channels/"), operation["action"]) for operation in operations
    } == {
        (FINANCE_EVENTS, "receive"),
        (BALANCE_CORRECTIONS, "receive"),
        (REALTIME_UPDATES, "send"),
        (CHAIN_HEADS, "send"),
    }


def test_the_content_types_are_those_that_are_read() -> None:
    headers = document()["components"]["messages"]["FinanceEvent"]["headers"]["properties"]
    pattern = headers["content-type"]["pattern"]
    assert {content_type for content_type in CONTENT_TYPES if re.fullmatch(pattern, content_type)} == {
        content_type for content_type in CONTENT_TYPES if _is_read(content_type)
    }


def _is_read(content_type: str) -> bool:
    try:
        envelope_of((("content-type", content_type.encode()),))
    except msgspec.DecodeError:
        return False
    return True


@pytest.mark.parametrize("message", ["FinanceEvent", "BalanceCorrection"])
def test_an_example_is_accepted_as_a_cloud_event_without_what_its_headers_carry(message: str) -> None:
    described = document()["components"]["messages"][message]
    carried, judge_it = CARRIED[message]
    body = dict(described["examples"][0]["payload"])
    headers = [("ce_specversion", b"1.0"), ("ce_source", b"/pms")]
    for attribute, field in carried.items():
        assert attribute in described["description"]
        assert attribute in described["headers"]["properties"]
        assert field in described["description"]
        headers.append((attribute, body.pop(field).encode()))
    origin = Origin("", 0, 0, APPENDED_AT, b"42", msgspec.msgpack.encode(body), (("content-type", MSGPACK), *headers))
    assert not isinstance(judge_it(origin, RULES), Rejected)


def test_the_lock_names_no_host_and_every_package_has_its_hash() -> None:
    lock = json.loads((VALIDATOR / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert "://" not in (VALIDATOR / "package-lock.json").read_text()
    assert all(package.get("integrity") for package in packages.values())
