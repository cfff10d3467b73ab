"""A whole run: the scenarios one after the other on one target, judged in the end."""

import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from bench.environment import environment
from bench.form import Form
from bench.phase_targets import judge_phases
from bench.progress import Progress
from bench.results import SCHEMA_VERSION, Results, ScenarioResult, require_one_run, together
from bench.scenarios import find
from bench.target import Target
from bench.targets import judge


async def run_all(
    target: Target, names: Sequence[str], form: Form, progress: Progress, earlier: Results | None = None
) -> Results:
    """Run the scenarios; one that fails is reported as missing, with its reason, and the others go on.

    `earlier` is a run that this one continues. Raises ResultsRefusedError when it was made by another code or machine.
    """
    began, began_at = time.monotonic(), datetime.now(UTC)
    around = await environment(target)
    if earlier is not None:
        require_one_run(earlier, form.name, around)
    scenarios = [await _run(name, target, form, progress) for name in names]
    results = Results(
        SCHEMA_VERSION,
        form.name,
        began_at.isoformat(timespec="seconds"),
        time.monotonic() - began,
        around,
        scenarios,
    )
    if earlier is not None:
        results = together(earlier, results)
    return msgspec.structs.replace(results, verdicts=[*judge(results), *judge_phases(results)])


async def _run(name: str, target: Target, form: Form, progress: Progress) -> ScenarioResult:
    run = find(name)
    if run is None:
        return ScenarioResult(name, name, missing="not made yet")
    progress.say(f"scenario {name}, {form.name} form")
    try:
        return await run(target, form, progress)
    except Exception as error:  # noqa: BLE001 - an hour of other scenarios must not be lost with this one
        progress.say(f"scenario {name} failed:\n{traceback.format_exc()}")
        return ScenarioResult(name, name, missing=f"failed: {type(error).__name__}: {error}", failed=True)
