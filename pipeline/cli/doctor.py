"""`folio doctor`: a checklist of what the pipeline needs, each line with what to do about it.

A check is a function from `Surroundings` to a `Finding`; a new one is written anywhere and added to `CHECKS`.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cyclopts import App
from rich.console import Console
from rich.markup import escape

from pipeline.cli.findings import Check, Finding, Level, Surroundings
from pipeline.cli.output import Output, print_document
from pipeline.cli.stream_checks import check_lanes, check_months, check_replicas, check_schema, check_stream_topics
from pipeline.errors import PipelineError, SettingsRefused, StackFailed
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.settings import Loaded, definitions, load_with_origins
from pipeline.stack.config import PARTS, VARIABLES, PartName
from pipeline.stack.folder import FREE_BYTES_MIN
from pipeline.stack.jars import absent, cache_folder, kafka_version, locked_jars
from pipeline.stack.packages import check_platform, missing
from pipeline.stack.probes import PROBES, NotReady
from pipeline.stack.record import endpoints

STYLES: Mapping[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
PYTHON_MIN = (3, 11)
POSTGRES_MIN = 18
# The bounds of the three servers add up to 1 GB (heap 512 MB, shared buffers 256, cache 256); the JVM itself, the
# pipeline and the page cache want the rest.
MEMORY_BYTES_MIN = 2_000_000_000
CORES_MIN = 2

app = App(name="doctor", help="Check what the pipeline needs here, and say what to do.")


@app.default
def doctor(*, output: Output = "text") -> int:
    """Run every check; the exit code is 1 when one has failed.

    Parameters
    ----------
    output
        text for people, json for programs.
    """
    findings = diagnose(os.environ)
    if output == "json":
        print_document({"findings": findings})
        return exit_code(findings)
    return report(findings)


def diagnose(environ: Mapping[str, str]) -> list[Finding]:
    """Run every check that can be run: those of servers need settings that hold."""
    cache = cache_folder(environ)
    try:
        loaded = load_with_origins(environ)
    except SettingsRefused as exc:
        refused = Finding("settings", "fail", str(exc), "mend what the message names: no server was asked")
        return [refused, *examine(MACHINE_CHECKS, look_around(load_with_origins({}), cache))]
    return examine(CHECKS, look_around(loaded, cache))


def look_around(loaded: Loaded, cache: Path) -> Surroundings:
    """Gather what the checks look at."""
    try:
        stack = endpoints(loaded.settings.stack.dir)
    except StackFailed:  # `check_folder` says what is wrong with it
        stack = None
    return Surroundings(loaded, stack, cache)


def examine(checks: Sequence[Check], surroundings: Surroundings) -> list[Finding]:
    """Run the checks in order; one that breaks is a failed finding, and the others still run."""
    return [_examine(check, surroundings) for check in checks]


def report(findings: Sequence[Finding], console: Console | None = None) -> int:
    """Print the checklist; returns the exit code."""
    console = console or Console()
    for finding in findings:
        style = STYLES[finding.level]
        console.print(
            f"[{style}]{finding.level:4}[/]  {escape(finding.name)}: {escape(finding.detail)}", soft_wrap=True
        )
        if finding.remedy:
            console.print(f"      → {escape(finding.remedy)}", soft_wrap=True)
    return exit_code(findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """1 when a check has failed; a warning is none."""
    return EXIT_DIFFERENT if any(finding.level == "fail" for finding in findings) else EXIT_OK


def _examine(check: Check, surroundings: Surroundings) -> Finding:
    try:
        return check(surroundings)
    except (PipelineError, OSError, ValueError) as exc:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return Finding(name, "fail", str(exc), "mend what the message names, then ask again")


def check_settings(surroundings: Surroundings) -> Finding:
    """What was given, and that it holds: settings that do not are refused before any check."""
    given = surroundings.loaded.given
    return Finding("settings", "ok", f"{len(given)} of {len(definitions())} given, the others at their defaults")


def check_python(_: Surroundings) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < PYTHON_MIN:
        return Finding("python", "fail", version, f"use Python {PYTHON_MIN[0]}.{PYTHON_MIN[1]} or later")
    return Finding("python", "ok", version)


def check_stack_platform(surroundings: Surroundings) -> Finding:
    if _all_external(surroundings):
        return Finding("platform", "ok", f"{sys.platform}; all servers are external")
    try:
        check_platform()
    except StackFailed as exc:
        return Finding("platform", "fail", sys.platform, str(exc))
    return Finding("platform", "ok", f"{sys.platform} {os.uname().machine}")


def check_packages(surroundings: Surroundings) -> Finding:
    absent_packages = missing()
    if not absent_packages:
        return Finding("packages", "ok", "the local stack's are installed")
    level: Level = "ok" if _all_external(surroundings) else "fail"
    remedy = "" if level == "ok" else "pip install 'foliostream[stack]'"
    return Finding("packages", level, f"missing: {', '.join(absent_packages)}", remedy)


def check_cores(_: Surroundings) -> Finding:
    cores = len(os.sched_getaffinity(0))
    if cores < CORES_MIN:
        return Finding("cores", "warn", str(cores), f"expect less speed than published; give it {CORES_MIN}")
    return Finding("cores", "ok", str(cores))


def check_memory(_: Surroundings) -> Finding:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
            if free < MEMORY_BYTES_MIN:
                return Finding("memory", "warn", f"{_mb(free)} available", f"free some: {_mb(MEMORY_BYTES_MIN)}")
            return Finding("memory", "ok", f"{_mb(free)} available")
    return Finding("memory", "warn", "unknown", "look at /proc/meminfo")


def check_folder(surroundings: Surroundings) -> Finding:
    directory = surroundings.directory.expanduser().resolve()
    standing = next(folder for folder in (directory, *directory.parents) if folder.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        return Finding("folder", "fail", f"{standing} is not writable", "name another in FOLIO_STACK_DIR")
    endpoints(directory)  # raises when the record cannot be read
    free = shutil.disk_usage(standing).free
    if free < FREE_BYTES_MIN:
        remedy = "free some, or set FOLIO_STACK_DIR to another disk"
        return Finding("folder", "fail", f"{_mb(free)} free for {directory}", remedy)
    return Finding("folder", "ok", f"{directory}, {_mb(free)} free")


def check_jars(surroundings: Surroundings) -> Finding:
    if "kafka" in surroundings.external:
        return Finding("kafka jars", "ok", "not needed; the broker is external")
    jars = locked_jars()
    lacking = absent(jars, surroundings.cache)
    if lacking:
        detail = f"{len(lacking)} of {len(jars)} not in the cache"
        return Finding("kafka jars", "warn", detail, "the next `folio stack up` fetches them and needs the network")
    return Finding("kafka jars", "ok", f"Kafka {kafka_version()}, {len(jars)} jars verified")


def check_postgres(surroundings: Surroundings) -> Finding:
    finding = _check_part("postgres", surroundings)
    if finding.level == "ok" and int(finding.detail.split(".")[0].split()[0]) < POSTGRES_MIN:
        remedy = f"upgrade to {POSTGRES_MIN} or later: upserts that return OLD and NEW are used"
        return Finding("postgres", "fail", finding.detail, remedy)
    return finding


def check_kafka(surroundings: Surroundings) -> Finding:
    return _check_part("kafka", surroundings)


def check_cache(surroundings: Surroundings) -> Finding:
    return _check_part("valkey", surroundings)


def _check_part(part: PartName, surroundings: Surroundings) -> Finding:
    address, origin = surroundings.address(part)
    if not address:
        detail = f"{VARIABLES[part]} is not set, and no stack runs in {surroundings.directory}"
        return Finding(part, "warn", detail, "folio stack up, or set it")
    try:
        version = PROBES[part](address)
    except NotReady as exc:
        remedy = f"mend {origin}" if part in surroundings.external else "folio stack up"
        return Finding(part, "fail", f"does not answer, by {origin}: {exc}", remedy)
    return Finding(part, "ok", f"{version}, by {origin}")


def _all_external(surroundings: Surroundings) -> bool:
    return len(surroundings.external) == len(PARTS)


def _mb(size: int) -> str:
    return f"{size // 1_000_000:,} MB"


# Of the machine alone: they can be made whatever the settings are.
MACHINE_CHECKS: list[Check] = [check_python, check_cores, check_memory]
CHECKS: list[Check] = [
    check_settings,
    check_python,
    check_stack_platform,
    check_packages,
    check_cores,
    check_memory,
    check_folder,
    check_jars,
    check_postgres,
    check_kafka,
    check_cache,
    check_schema,
    check_replicas,
    check_stream_topics,
    check_lanes,
    check_months,
]
