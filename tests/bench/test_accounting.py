"""CPU and memory by part, read of real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bench.accounting import HARNESS, OTHER, Accountant, Reading, Watch

# Keeps a core busy for half a second of CPU in a child, which ends; then another one holds 64 MiB and waits.
_BUSY = """
import subprocess, sys
code = "import time\\nwhile time.process_time() < 0.5: pass"
subprocess.run([sys.executable, "-c", code], check=True)
code = "import sys\\nheld = b'x' * (64 << 20)\\nprint('done', flush=True)\\nsys.stdin.read()"
subprocess.run([sys.executable, "-c", code], check=True)
"""


@pytest.fixture
def busy() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process
    process.communicate()


def test_a_part_has_the_cpu_of_its_children_that_ended_and_the_memory_of_its_largest(
    busy: "subprocess.Popen[bytes]",
) -> None:
    accountant = Accountant({"workers": (busy.pid,)})
    before = accountant.read()
    assert busy.stdout is not None
    with Watch(accountant):
        assert busy.stdout.readline() == b"done\n"
    spent = accountant.read().since(before)
    # Some of it may have been spent before the first reading.
    assert 0.3 < spent["workers"] < 2
    assert 64 <= accountant.peaks_mib["workers"] < 300


def test_our_own_work_is_told_apart() -> None:
    accountant = Accountant({})
    before = accountant.read()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert accountant.read().since(before)[HARNESS] >= 0.2


def test_what_is_not_of_the_parts_is_of_others() -> None:
    before = Reading({"workers": 1.0}, 10.0, 0.0)
    after = Reading({"workers": 3.0}, 15.0, 0.0)
    assert after.since(before) == {"workers": 2.0, OTHER: 3.0}


def test_a_process_that_is_gone_counts_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    accountant = Accountant({"workers": (gone.pid,), "broker": (os.getpid(),)})
    accountant.look()
    assert accountant.read().cpu["workers"] == 0
    assert accountant.peaks_mib["workers"] == 0
    assert accountant.peaks_mib["broker"] > 0
