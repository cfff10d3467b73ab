"""Ask whether anything that is locked has a known vulnerability: `python requirements/audit.py`.

Exit code 1 when there is one, or when the audit itself is broken. Where no advisory source can be reached nothing was
audited; that is said, and is no failure: a check that needs the network must not hold up those who have none.
"""

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SECONDS_MAX: Final = 180.0
FOLDER: Final = Path(__file__).parent
# What is installed anywhere by this project; the peers of the benchmark have environments of their own.
LOCKED: Final = ("runtime", "stack", "tracing", "test", "bench", "build")
# Apart from what it audits: its own packages must not move theirs.
ENVIRONMENT: Final = FOLDER.parent / ".venv" / "audit"
_OUT_OF_REACH: Final = ("ConnectionError", "NameResolution", "Max retries exceeded", "timed out", "ServiceError")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said, and the exit code."""

    text: str
    code: int


def main() -> int:
    """Audit all locked files together."""
    verdict = not_audited("pip-audit could not be installed") if not _installed() else _audited()
    print(verdict.text)
    return verdict.code


def judge(stdout: str, stderr: str) -> Verdict:
    """Of pip-audit's document, or of what it said instead of one.

    A package that the source does not know is skipped by pip-audit, which then reports no vulnerability: where all are
    skipped, no source was reached.
    """
    packages = _packages(stdout)
    if not packages:
        why = stderr.strip().splitlines()[-1] if stderr.strip() else "pip-audit said nothing"
        out_of_reach = any(word in stderr for word in _OUT_OF_REACH)
        return not_audited(why) if out_of_reach else Verdict(f"audit: broken: {why}", 1)
    found = [_told(package, each) for package in packages for each in package.get("vulns", ())]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if found:
        return Verdict("audit: " + "; ".join(found), 1)
    if skipped:
        return not_audited(f"{len(skipped)} of {len(packages)} packages are unknown to the source that was asked")
    return Verdict(f"audit: {len(packages)} packages, no known vulnerability", 0)


def not_audited(why: str) -> Verdict:
    """Nobody was asked, or nobody knew."""
    return Verdict(f"audit: NOT AUDITED, {why}; nothing is known about vulnerabilities of the locked packages", 0)


def _told(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    mended = ", ".join(vulnerability["fix_versions"]) or "none yet"
    return f"{package['name']} {package['version']}: {vulnerability['id']}, mended in {mended}"


def _packages(document: str) -> list[dict[str, Any]]:
    try:
        packages: list[dict[str, Any]] = json.loads(document)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return []
    return packages


def _installed() -> bool:
    venv.create(ENVIRONMENT, with_pip=True)
    pip = [str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    return subprocess.run([*pip, "--requirement", str(FOLDER / "audit.txt")], check=False).returncode == 0


def _audited() -> Verdict:
    # Hashed requirements are taken as they stand: nothing is resolved, nothing is installed.
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    files = [option for name in LOCKED for option in ("--requirement", str(FOLDER / f"{name}.txt"))]
    program = [str(ENVIRONMENT / "bin" / "pip-audit"), *options, *files]
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return not_audited(f"no answer within {SECONDS_MAX:g} s")
    return judge(done.stdout, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
