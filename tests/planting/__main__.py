"""Plant each bug in a copy of the tree, and see its test go red: `make plant`.

A test that stays green when its subject is broken proves nothing.
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.stack.temporary import temporary_stack
from tests.planting.bugs import BUGS, Bug

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("batchers", "consumers", "pipeline", "schemas", "sql", "tests", "pyproject.toml")
_AT_ONCE = os.cpu_count() or 1


def main() -> int:
    """Plant each bug and run its test. 0 when every test went red, and was green without the bug."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder, temporary_stack(Path(folder) / "stack"):
        # One stack for all: each test makes a database and topics of its own, and starting servers takes the longest.
        trees = [Tree(Path(folder) / f"tree-{number}", Path(folder) / "stack") for number in range(_AT_ONCE)]
        if trees[0].run([bug.test for bug in BUGS]) is not Outcome.GREEN:
            print("the tests are not green without a bug: mend them first")
            return 1
        noticed = 0
        for bug, outcome in zip(BUGS, _planted(trees), strict=True):
            print(f"{outcome}: {bug.name} ({bug.test})", flush=True)
            noticed += outcome is Outcome.RED
    print(f"{noticed} of {len(BUGS)} planted bugs were noticed")
    return 0 if noticed == len(BUGS) else 1


def _planted(trees: list["Tree"]) -> Iterator["Outcome"]:
    """What came of each bug, in their order."""
    free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def plant(bug: Bug) -> Outcome:
        tree = free.get()
        try:
            return tree.plant(bug)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        yield from pool.map(plant, BUGS)


class Outcome(StrEnum):
    """What the tests said."""

    RED = "red"
    GREEN = "GREEN, nobody noticed"
    UNTOLD = "NOT RUN, the tests could not be collected or were not found"
    GONE = "GONE, the file no longer holds the text to break: update tests/planting/bugs.py"


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of what tests need, at `path`, whose tests use the stack that runs in `stack`."""

    path: Path
    stack: Path

    def __post_init__(self) -> None:
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.path / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, self.path / name)

    def plant(self, bug: Bug) -> Outcome:
        """Break the copy, run the bug's test, mend the copy."""
        path = self.path / bug.file
        text = path.read_text()
        if bug.old not in text:
            return Outcome.GONE
        path.write_text(text.replace(bug.old, bug.new, 1))
        try:
            return self.run([bug.test])
        finally:
            path.write_text(text)

    def run(self, tests: list[str]) -> Outcome:
        """Run them up to the first that fails."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "TEST_STACK_DIR": str(self.stack)}
        done = subprocess.run(command, cwd=self.path, env=environment, stdout=subprocess.DEVNULL, check=False)
        # A file that does not even load is no test that noticed: then pytest returns something else.
        return {0: Outcome.GREEN, 1: Outcome.RED}.get(done.returncode, Outcome.UNTOLD)


if __name__ == "__main__":
    sys.exit(main())
