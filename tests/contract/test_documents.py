"""`folio schema` writes what is committed, and the examples in it are samples."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.contract import asyncapi
from pipeline.contract.documents import documents
from pipeline.exits import EXIT_CANNOT, EXIT_OK
from schemas.topics import BALANCE_CORRECTIONS, CHAIN_HEADS, FINANCE_EVENTS, REALTIME_UPDATES

REPOSITORY = Path(__file__).resolve().parents[2]
COMMITTED = REPOSITORY / "docs" / "schema"
SAMPLES_OF = {
    FINANCE_EVENTS: "events",
    BALANCE_CORRECTIONS: "corrections",
    REALTIME_UPDATES: "updates",
    CHAIN_HEADS: "heads",
}


def folio_schema(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "schema", *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=os.environ | {"COLUMNS": "200"},
        timeout=60,
        check=False,
    )


def test_the_committed_documents_are_what_the_command_writes(tmp_path: Path) -> None:
    done = folio_schema("--output", tmp_path / "made" / "on the way")
    assert done.returncode == EXIT_OK, done.stderr
    written = {file.name: file.read_text() for file in (tmp_path / "made" / "on the way").iterdir()}
    assert written == {file.name: file.read_text() for file in COMMITTED.iterdir()}, (
        "run `folio schema --output docs/schema`"
    )
    assert sorted(Path(line).name for line in done.stdout.splitlines()) == sorted(written)


def test_without_a_folder_it_prints_one_object() -> None:
    done = folio_schema()
    assert done.returncode == EXIT_OK, done.stderr
    assert json.loads(done.stdout) == documents()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = folio_schema("--output", tmp_path / "file")
    assert done.returncode == EXIT_CANNOT
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("topic", SAMPLES_OF)
def test_the_examples_are_committed_samples(topic: str) -> None:
    samples = REPOSITORY / "tests" / "samples" / SAMPLES_OF[topic]
    examples = sorted((Path(asyncapi.__file__).parent / "examples" / topic).iterdir())
    assert examples
    for example in examples:
        assert example.read_bytes() == (samples / example.name).read_bytes(), example.name
