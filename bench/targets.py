"""The targets: what each demands, and how its figure is found. Judged in the benchmark, never in timed tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from bench.results import Results, Verdict

Find = Callable[[Results], float | None]
Relation = Literal["at least", "above", "below", "at most"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """One target. `find` gives its figure; None where the run did not measure it."""

    scenario: str
    says: str
    relation: Relation
    bound: float
    unit: str
    find: Find

    def verdict(self, results: Results) -> Verdict:
        """Whether the results meet it."""
        found = self.find(results)
        bound = f"{self.relation} {_shown(self.bound)} {self.unit}"
        if found is None:
            return Verdict(self.scenario, self.says, bound, "not measured", None)
        met = {
            "at least": found >= self.bound,
            "above": found > self.bound,
            "below": found < self.bound,
            "at most": found <= self.bound,
        }
        return Verdict(self.scenario, self.says, bound, f"{_shown(found)} {self.unit}", met[self.relation])


def median(scenario: str, figure: str) -> Find:
    """The median of a figure."""

    def find(results: Results) -> float | None:
        found = _figure(results, scenario, figure)
        return found[0] if found else None

    return find


def most(scenario: str, figure: str) -> Find:
    """The most that any round measured: for bounds that may never be passed."""

    def find(results: Results) -> float | None:
        found = _figure(results, scenario, figure)
        return found[1] if found else None

    return find


def ratio(above: Find, below: Find) -> Find:
    """One figure by another."""

    def find(results: Results) -> float | None:
        over, under = above(results), below(results)
        return over / under if over is not None and under else None

    return find


def difference_count(results: Results) -> float | None:
    """Differences over every proof of the run; one that could not be proved counts as one."""
    proofs = [each.proof for each in results.scenarios if each.proof is not None]
    return sum(1 if proof.differences is None else proof.differences for proof in proofs) if proofs else None


def judge(results: Results) -> list[Verdict]:
    """Every target, met or not."""
    return [threshold.verdict(results) for threshold in THRESHOLDS]


def _figure(results: Results, scenario: str, name: str) -> tuple[float, float] | None:
    found = results.scenario(scenario)
    figure = found.figure(name) if found else None
    return (figure.median, figure.most) if figure else None


def _shown(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


_RATE: Final = "events_per_second"
# Figures that other scenarios are to give, by these names.
THRESHOLDS: Final[tuple[Threshold, ...]] = (
    Threshold(
        "drain",
        "mixed events drained, two cores, everything on them",
        "at least",
        50_000,
        "ev/s",
        median("drain", _RATE),
    ),
    Threshold(
        "drain",
        "share of the limit of the same run",
        "at least",
        0.8,
        "of limit",
        # Of the drain beside the limit in each round: what neighbours take, they take of both.
        median("limit", "drain_share_of_limit"),
    ),
    Threshold("drain", "memory of a worker at any backlog", "below", 300, "MiB", most("drain", "peak_mib_workers")),
    Threshold(
        "creations",
        "ahead of the fastest peer of the same run",
        "at least",
        1.0,
        "x the fastest peer",
        ratio(median("peers", "product_events_per_second"), median("peers", "fastest_peer_events_per_second")),
    ),
    Threshold(
        "creations",
        "against one transaction an event, 500 tasks",
        "at least",
        12,
        "x that peer",
        ratio(median("peers", "product_events_per_second"), median("peers", "one_by_one_500_events_per_second")),
    ),
    Threshold(
        "live", "p99 from event to update at 5,000 ev/s", "below", 250, "ms", median("live", "update_p99_ms_at_5000")
    ),
    Threshold("live", "worker CPU at 5,000 ev/s", "below", 0.35, "cores", median("live", "worker_cores_at_5000")),
    Threshold(
        "live",
        "highest rate with p99 < 1 s",
        "at least",
        30_000,
        "ev/s",
        median("live", "highest_rate_p99_below_1s"),
    ),
    Threshold(
        "scale",
        "rate with tables of 20M rows, of that at 1M",
        "at least",
        0.8,
        "of it",
        median("scale", "rate_20m_to_1m"),
    ),
    Threshold(
        "scale",
        "rate with 1M organisations, of that with 10K",
        "at least",
        0.8,
        "of it",
        median("scale", "rate_1m_orgs_to_10k"),
    ),
    Threshold(
        "scale", "carry-forward, database side, a carried row", "at most", 3, "µs", median("scale", "carried_row_us")
    ),
    Threshold(
        "scale", "cost of 2% late events on dense days", "below", 0.5, "of the rate", median("scale", "late_cost_share")
    ),
    Threshold(
        "storage",
        "balance of a day, p95 at 100 reads/s beside 5,000 ev/s",
        "below",
        5,
        "ms",
        median("storage", "balance_p95_ms"),
    ),
    Threshold(
        "storage",
        "daily report, p95 at 100 reads/s beside 5,000 ev/s",
        "below",
        20,
        "ms",
        median("storage", "report_p95_ms"),
    ),
    Threshold("storage", "three months of partitions made", "below", 1, "s", median("storage", "months_seconds")),
    Threshold(
        "storage", "longest wait for a commit meanwhile", "below", 1_000, "ms", most("storage", "months_commit_ms_max")
    ),
    Threshold(
        "storage",
        "full check",
        "at least",
        200_000,
        "transactions/s",
        median("storage", "check_transactions_per_second"),
    ),
    Threshold("storage", "rebuild", "at least", 50_000, "events/s", median("storage", "rebuild_events_per_second")),
    Threshold(
        "storage", "cost of the hash chain", "below", 0.03, "of the CPU of an event", median("storage", "chain_share")
    ),
    Threshold(
        "serve",
        "cached balances read, one process",
        "at least",
        4_000,
        "requests/s",
        median("serve", "requests_per_second"),
    ),
    Threshold("serve", "read, p95 at 1,000/s beside 5,000 ev/s", "below", 20, "ms", median("serve", "reads_p95_ms")),
    Threshold("serve", "cold read, p95 beside 5,000 ev/s", "below", 50, "ms", median("serve", "cold_p95_ms")),
    Threshold("serve", "hit rate of the realistic mix", "above", 0.85, "of answers", median("serve", "mix_hit_rate")),
    Threshold(
        "serve",
        "5,000 subscribers at 5,000 ev/s, event to socket, p95",
        "below",
        1_000,
        "ms",
        median("serve", "realtime_p95_ms"),
    ),
    Threshold(
        "serve",
        "5,000 subscribers at 5,000 ev/s, event to socket, p99",
        "below",
        1_500,
        "ms",
        median("serve", "realtime_p99_ms"),
    ),
    Threshold(
        "serve", "days that they held otherwise than SQL", "at most", 0, "days", most("serve", "realtime_differences")
    ),
    Threshold("serve", "10,000 idle WebSockets", "below", 400, "MiB", most("serve", "idle_mib_of_10000")),
    Threshold(
        "serve",
        "lost in 100 disconnects and 2 ends of the server",
        "at most",
        0,
        "days",
        most("serve", "resume_differences"),
    ),
    *(
        Threshold(
            "serve", f"{part} killed: failed", "below", 0.005, "of requests", most("serve", f"{name}_error_share")
        )
        for part, name in {"cache": "valkey", "replica": "replica1", "broker": "kafka"}.items()
    ),
    Threshold("all", "differences that the oracle found", "at most", 0, "differences", difference_count),
)
