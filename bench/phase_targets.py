"""The thresholds of requirement 20."""

from typing import Final

from bench.results import Results, Verdict
from bench.targets import Threshold, median, most

_ANSWERS: Final = "answers to reads, p99"
_FAILED: Final = "reads that failed"
_CIRCUIT: Final = median("phase3", "circuit_works")
_ERRORS: Final = "records not applied for reasons of ours"
_SEEN: Final = "event to update received, p95"
_HELD: Final = "rate held, without a growing backlog"
# Hashing spreads whole organisations, and a few of them are large: the largest of 16 partitions stays near the mean.
_SPREAD: Final = "largest of the 16 hash partitions of balances"

THRESHOLDS: Final[tuple[Threshold, ...]] = (
    Threshold("phase1", _SEEN, "below", 1_000, "ms", median("phase1", "update_p95_ms")),
    Threshold("phase1", _ERRORS, "below", 0.01, "of all", most("phase1", "error_share")),
    Threshold("phase1", _HELD, "at least", 1, "of the steps", median("phase1", "rate_held")),
    Threshold("phase1", _ANSWERS, "below", 1_000, "ms", most("phase1", "answer_p99_ms")),
    Threshold("phase1", "cache hits", "above", 0.8, "of answers", median("phase1", "hit_rate")),
    Threshold("phase1", _FAILED, "below", 0.01, "of all", most("phase1", "answer_error_share")),
    Threshold("phase2", _SEEN, "below", 1_000, "ms", median("phase2", "update_p95_ms")),
    Threshold("phase2", _ERRORS, "below", 0.005, "of all", most("phase2", "error_share")),
    Threshold("phase2", _HELD, "at least", 1, "of the steps", median("phase2", "rate_held")),
    Threshold("phase2", _SPREAD, "at most", 1.25, "x the mean", most("phase2", "partition_unevenness")),
    Threshold("phase2", "reads from replicas", "above", 0.4, "of reads", median("phase2", "replica_share")),
    Threshold("phase2", _FAILED, "below", 0.005, "of all", most("phase2", "answer_error_share")),
    Threshold("phase3", _SEEN, "below", 1_000, "ms", median("phase3", "update_p95_ms")),
    Threshold("phase3", _ERRORS, "below", 0.005, "of all", most("phase3", "error_share")),
    Threshold("phase3", _HELD, "at least", 1, "of the steps", median("phase3", "rate_held")),
    Threshold("phase3", "the database's circuit opens and closes", "at least", 1, "of 1", _CIRCUIT),
    Threshold("phase3", "service latency, p95", "below", 50, "ms", median("phase3", "answer_p95_ms")),
    Threshold("phase3", _FAILED, "below", 0.005, "of all", most("phase3", "answer_error_share")),
    # Of requirement 21, for 100,000 organisations x 5 properties x 5 users.
    Threshold("users", "answers to reads, p95", "below", 300, "ms", median("users", "reads_p95_ms")),
    Threshold("users", "reads in error", "below", 0.001, "of all", most("users", "reads_error_share")),
    Threshold("users", "event to socket, p95", "below", 1_000, "ms", median("users", "realtime_p95_ms")),
    Threshold("users", "days held otherwise than SQL", "at most", 0, "days", most("users", "realtime_differences")),
)


def judge_phases(results: Results) -> list[Verdict]:
    """The thresholds of the phases that were run."""
    return [each.verdict(results) for each in THRESHOLDS if results.scenario(each.scenario) is not None]
