"""The broker of a whole test run: one, whoever asks, for as long as the process lives that hands out the tests."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import StackFailed
from pipeline.stack.probes import NotReady, kafka
from pipeline.stack.process import strays
from tests.support.shared_broker import address_in
from tests.support.starting import REPOSITORY

_OWNER = "import sys; from tests.support.shared_broker import broker_folder\nwith broker_folder() as folder:\n"
_ASKER = "import pathlib, sys; from tests.support.shared_broker import address_in\n"


def started(code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", code, *arguments]
    return subprocess.Popen(command, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_all_get_the_same_one_and_it_ends_with_its_owner_however_that_ends() -> None:
    owner = started(_OWNER + "    print(folder, flush=True)\n    sys.stdin.read()")
    try:
        assert owner.stdout is not None, "it is a pipe"
        folder = Path(owner.stdout.readline().strip())
        askers = [started(_ASKER + "print(address_in(pathlib.Path(sys.argv[1])))", str(folder)) for _ in range(2)]
        first, second = (asker.communicate(timeout=100)[0].strip() for asker in askers)
        assert first == second != ""
        kafka(first)  # it has outlived the one that started it
        assert len(strays(folder / "kafka")) == 1
    finally:
        owner.kill()
        owner.communicate()

    deadline = time.monotonic() + 30
    while folder.exists() or strays(folder / "kafka"):
        assert time.monotonic() < deadline, "the broker outlives its owner"
        time.sleep(0.05)
    with pytest.raises(NotReady):
        kafka(first)
    with pytest.raises(StackFailed):
        address_in(folder)
    assert not folder.exists()
