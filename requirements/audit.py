"""Ask whether anything that is locked has a known vulnerability: `python requirements/audit.py FILE...`.

Exit code 1 when there is one. Where no advisory source can be reached nothing was audited; that is said, and is no
failure: a check that needs the network must not hold up those who have none.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SECONDS_MAX: Final = 180.0
_PIP_AUDIT: Final = Path(sys.executable).with_name("pip-audit")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said, and the exit code."""

    text: str
    code: int


def main(files: Sequence[str]) -> int:
    """Audit the locked files together."""
    # Hashed requirements are taken as they stand: nothing is resolved, nothing is installed.
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    requirements = [option for file in files for option in ("--requirement", file)]
    try:
        done = subprocess.run(
            [_PIP_AUDIT, *options, *requirements], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        verdict = not_audited(f"no answer within {SECONDS_MAX:g} s")
    else:
        verdict = judge(done.stdout, done.stderr)
    print(verdict.text)
    return verdict.code


def judge(stdout: str, stderr: str) -> Verdict:
    """Of pip-audit's document, or of what it said instead of one.

    A package that the source does not know is skipped by pip-audit, which then reports no vulnerability: where all are
    skipped, no source was reached.
    """
    try:
        packages = json.loads(stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return not_audited(stderr.strip().splitlines()[-1] if stderr.strip() else "pip-audit said nothing")
    found = [
        f"{package['name']} {package['version']}: {each['id']}, mended in {_joined(each['fix_versions'])}"
        for package in packages
        for each in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if found:
        return Verdict("audit: " + "; ".join(found), 1)
    if skipped:
        return not_audited(f"{len(skipped)} of {len(packages)} packages are unknown to the source that was asked")
    return Verdict(f"audit: {len(packages)} packages, no known vulnerability", 0)


def _joined(versions: Sequence[str]) -> str:
    return ", ".join(versions) or "none yet"


def not_audited(why: str) -> Verdict:
    """Nobody was asked, or nobody knew."""
    return Verdict(f"audit: NOT AUDITED, {why}; nothing is known about vulnerabilities of the locked packages", 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
