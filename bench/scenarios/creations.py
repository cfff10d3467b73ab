"""creations: the same drain on the workload of the peers, creations with distinct ids and hardly a hot key."""

from bench.form import Form
from bench.progress import Progress
from bench.results import ScenarioResult
from bench.scenarios.drain import drained
from bench.target import Target
from bench.workload import creations

_TITLE = "the peers' workload, drained by the whole pipeline"


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """As `drain`, on creations."""
    events = form.events_or(40_000, 1_000_000)
    workload = creations(events, orgs=form.orgs, properties_loaded=form.properties_loaded)
    return await drained("creations", _TITLE, workload, target, form, progress)
