"""The thresholds of requirement 20: those that are measured here, and those that need what is not there yet."""

from dataclasses import dataclass
from typing import Final

from bench.results import Results, Verdict
from bench.targets import Threshold, median, most


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A threshold that needs more than the stream: printed with its reason, never left out."""

    scenario: str
    says: str
    bound: str
    needs: str

    def verdict(self, _results: Results) -> Verdict:
        """Neither met nor not."""
        return Verdict(self.scenario, self.says, self.bound, f"not measured here: needs {self.needs}", None)


_SERVING: Final = "the serving layer"
_ERRORS: Final = "records not applied for reasons of ours"
_SEEN: Final = "event to update received, p95"
_HELD: Final = "rate held, without a growing backlog"
# Hashing spreads whole organisations, and a few of them are large: the largest of 16 partitions stays near the mean.
_SPREAD: Final = "largest of the 16 hash partitions of balances"

THRESHOLDS: Final[tuple[Threshold | Elsewhere, ...]] = (
    Threshold("phase1", _SEEN, "below", 1_000, "ms", median("phase1", "update_p95_ms")),
    Threshold("phase1", _ERRORS, "below", 0.01, "of all", most("phase1", "error_share")),
    Threshold("phase1", _HELD, "at least", 1, "of the steps", median("phase1", "rate_held")),
    Elsewhere("phase1", "responses", "below 1 s", _SERVING),
    Elsewhere("phase1", "cache hits", "above 80%", _SERVING),
    Threshold("phase2", _SEEN, "below", 1_000, "ms", median("phase2", "update_p95_ms")),
    Threshold("phase2", _ERRORS, "below", 0.005, "of all", most("phase2", "error_share")),
    Threshold("phase2", _HELD, "at least", 1, "of the steps", median("phase2", "rate_held")),
    Threshold("phase2", _SPREAD, "at most", 1.25, "x the mean", most("phase2", "partition_unevenness")),
    Elsewhere("phase2", "reads from replicas", "above 40%", "replicas and the repository that routes reads"),
    Threshold("phase3", _SEEN, "below", 1_000, "ms", median("phase3", "update_p95_ms")),
    Threshold("phase3", _ERRORS, "below", 0.005, "of all", most("phase3", "error_share")),
    Threshold("phase3", _HELD, "at least", 1, "of the steps", median("phase3", "rate_held")),
    Elsewhere("phase3", "the circuit breaker opens and closes", "works", "the resilience layer around the database"),
    Elsewhere("phase3", "service latency", "below 50 ms", _SERVING),
)


def judge_phases(results: Results) -> list[Verdict]:
    """The thresholds of the phases that were run."""
    return [each.verdict(results) for each in THRESHOLDS if results.scenario(each.scenario) is not None]
