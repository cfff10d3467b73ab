"""The examples that run a server: what they set is a setting, and what they ask is answered."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.settings import variables
from pipeline.settings_serving import ApiSettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes" / "serve.yaml"
SYSTEMD = DEPLOY / "systemd" / "folio-serve.service"


@pytest.mark.parametrize("example", [KUBERNETES, SYSTEMD], ids=lambda path: path.name)
def test_every_variable_is_a_setting(example: Path) -> None:
    named = set(re.findall(r"FOLIO_[A-Z_]+[A-Z]", example.read_text()))
    known = set(variables())
    assert named - known - {name + "_FILE" for name in known} == set()
    assert {"FOLIO_API_JWKS_PATH", "FOLIO_REALTIME_CURSOR_SECRETS_FILE", "FOLIO_DATABASE_URL_FILE"} <= named


def test_there_is_more_time_than_the_grace() -> None:
    grace = ApiSettings().shutdown_grace_seconds
    (kubernetes,) = re.findall(r"terminationGracePeriodSeconds: (\d+)", KUBERNETES.read_text())
    (before,) = re.findall(r'command: \["sleep", "(\d+)"\]', KUBERNETES.read_text())
    (systemd,) = re.findall(r"TimeoutStopSec=(\d+)s", SYSTEMD.read_text())
    assert int(kubernetes) - int(before) > grace
    assert int(systemd) > grace


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here: apt-get install systemd")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / SYSTEMD.name
    unit.write_text(SYSTEMD.read_text().replace("/opt/folio/bin/folio", "/bin/true").replace("User=folio", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
