"""The examples for systemd and Kubernetes: what they run is a command of ours, at the hours that are asked for."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import app

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
UNITS = DEPLOY / "systemd"
CRON_JOBS = DEPLOY / "kubernetes" / "partitions.yaml"


def parsed(arguments: list[str]) -> dict[str, Any]:
    """What the command would be called with, as our command line reads it."""
    command, bound, _ = app.parse_args(arguments, print_error=False, exit_on_error=False)
    assert (command.__module__, command.__name__) == ("pipeline.cli.partitions", "apply")
    return dict(bound.arguments)


@pytest.mark.parametrize(
    ("purpose", "calendar"), [("create", "*-*-01 02:00:00 UTC"), ("expire", "*-*-15 03:00:00 UTC")]
)
def test_each_timer_starts_its_run(purpose: str, calendar: str) -> None:
    timer = (UNITS / f"folio-partitions-{purpose}.timer").read_text()
    assert f"OnCalendar={calendar}\n" in timer
    assert f"Unit=folio-partitions@{purpose}.service\n" in timer
    service = (UNITS / "folio-partitions@.service").read_text().replace("%i", purpose)
    (command,) = re.findall(r"^ExecStart=\S+/folio (.+)$", service, re.MULTILINE)
    assert parsed(command.split()) == {"only": purpose, "archive": Path("/var/lib/folio/archives")}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here: apt-get install systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/folio/bin/folio", "/bin/true")  # it wants the program to be there
        (tmp_path / unit.name).write_text(text)
    instances = [str(tmp_path / f"folio-partitions-{purpose}.timer") for purpose in ("create", "expire")]
    (tmp_path / "folio-partitions@create.service").write_text((tmp_path / "folio-partitions@.service").read_text())
    command = ["systemd-analyze", "verify", *instances, str(tmp_path / "folio-partitions@create.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Of our units alone: it reads those of the machine as well.
    assert [line for line in done.stderr.splitlines() if "folio" in line] == []
    assert done.returncode == 0, done.stderr


def test_each_cron_job_runs_a_command_of_ours() -> None:
    jobs = CRON_JOBS.read_text().split("\n---\n")
    found = {}
    for job in jobs:
        (schedule,) = re.findall(r'^  schedule: "(.+)"$', job, re.MULTILINE)
        (arguments,) = re.findall(r"^ +args: (\[.+\])$", job, re.MULTILINE)
        assert re.findall(r"^  (\w+): (Etc/UTC|Forbid)$", job, re.MULTILINE) == [
            ("timeZone", "Etc/UTC"),
            ("concurrencyPolicy", "Forbid"),
        ]
        found[schedule] = parsed(json.loads(arguments))
    assert found == {
        "0 2 1 * *": {"only": "create"},
        "0 3 15 * *": {"only": "expire", "archive": Path("/archives")},
    }
