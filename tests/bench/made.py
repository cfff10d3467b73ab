"""Results made by hand, for the tests of what reads them."""

from bench.environment import Environment
from bench.results import SCHEMA_VERSION, Figure, Proof, Results, ScenarioResult, figure

ENVIRONMENT = Environment(
    revision="0123456789ab",
    cores=2,
    cpu_model="a <model>",
    memory_mib=24_000,
    system="Linux",
    filesystem="ext4",
    python="3.11.7",
    servers={"database": "PostgreSQL 18"},
    server_settings={"fsync": "on"},
    packages={},
    settings={},
    local_stack=True,
    load_average=0.1,
    million_loops_per_second=14.25,
)


def rate(*rounds: float) -> Figure:
    return figure("events_per_second", "ev/s", rounds, "more")


def scenario(name: str, *figures: Figure, differences: int | None = 0, missing: str | None = None) -> ScenarioResult:
    proof = None if missing else Proof(differences, f"{differences} differences", 1.0)
    return ScenarioResult(name, f"title of {name}", missing=missing, figures=list(figures), proof=proof)


def results(*scenarios: ScenarioResult) -> Results:
    return Results(SCHEMA_VERSION, "short", "2026-01-01T00:00:00+00:00", 60.0, ENVIRONMENT, list(scenarios))
