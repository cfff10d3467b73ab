"""`folio settings show` and `folio completion`, as they are typed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.settings import variables

REPOSITORY = Path(__file__).resolve().parents[2]


def _folio(*arguments: str, **settings: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FOLIO_")}
    run = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        env=clean | {f"FOLIO_{name}": value for name, value in settings.items()},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_each_setting_is_shown_with_its_origin_and_no_password(tmp_path: Path) -> None:
    file = tmp_path / "any.toml"
    file.write_text("[redis]\nurl = 'redis://:hush@h/0'\n")
    printed = _folio(
        "settings", "show", "--output", "json",
        PROFILE="production", SETTINGS_FILE=str(file), DATABASE_URL="postgresql://u:hush@h/d",
    )  # fmt: skip
    assert "hush" not in printed
    document = json.loads(printed)
    assert (document["profile"], document["file"]) == ("production", str(file))
    rows = {row["variable"]: row for row in document["settings"]}
    assert list(rows) == variables()
    assert all(row["description"] for row in rows.values())
    seen = {name: (row["value"], row["origin"], row["where"]) for name, row in rows.items()}
    assert seen["FOLIO_DATABASE_URL"] == ("postgresql://u:***@h/d", "environment", "FOLIO_DATABASE_URL")
    assert seen["FOLIO_REDIS_URL"] == ("redis://:***@h/0", "file", f"{file}: redis.url")
    assert seen["FOLIO_KAFKA_LANES"] == ("64", "profile", "profile production: FOLIO_KAFKA_LANES")
    assert seen["FOLIO_WORKER_NAME"] == (None, "default", None)
    assert seen["FOLIO_KAFKA_GROUP"] == ("folio-stream", "default", None)


def test_only_what_was_given_is_shown_on_demand() -> None:
    printed = _folio("settings", "show", "--only-changed", WORKER_NAME="[red]w[/red]")
    assert [line.split()[0] for line in printed.splitlines()] == ["variable", "FOLIO_WORKER_NAME", "profile"]
    assert "[red]w[/red]" in printed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_commands(shell: str) -> None:
    script = _folio("completion", shell)
    assert all(name in script for name in ("folio", "run", "verify", "completion", "settings", "show", "only-changed"))
