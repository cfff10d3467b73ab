"""What was found of the serving layer, as figures and tables."""

from collections.abc import Mapping, Sequence
from typing import Final

from bench.results import Cell, Figure, Table, figure
from bench.serve.outages import Outage
from bench.serve.reading import (
    COLD_PER_SECOND,
    LOOKED_AT_ORGS,
    READS_PER_EVENT,
    READS_PER_SECOND,
    WRITES_PER_SECOND,
    Capacity,
    Reads,
)
from bench.serve.realtime import Agreed, Followed, Idle, Resumed

_IDLE_TARGET: Final = 10_000
_KIB: Final = 1_024
_PERCENTILES: Final = (50.0, 95.0, 99.0)


def capacity_figures(found: Capacity) -> list[Figure]:
    return [
        figure("requests_per_second", "requests/s", [found.requests_per_second], "more"),
        figure("request_cpu_us", "µs of the server", [found.cpu_us], "less"),
        # What one core would answer if the server had it to itself: neighbours change it little.
        figure("requests_per_second_of_a_core", "requests/s", [1e6 / found.cpu_us], "more"),
    ]


def read_figures(name: str, found: Reads) -> list[Figure]:
    histogram = found.histogram()
    made = [
        figure(f"{name}_p{percent:g}_ms", "ms", [histogram.percentile_ms(percent)], "less") for percent in _PERCENTILES
    ]
    made.append(figure(f"{name}_cpu_us", "µs of the server", [found.cpu_us], "less"))
    made.append(figure(f"{name}_error_share", "of all", [found.error_share], "less"))
    if found.hit_rate is not None:
        made.append(figure(f"{name}_hit_rate", "of answers", [found.hit_rate], "more"))
    return made


def realtime_figures(found: Followed) -> list[Figure]:
    return [
        *delay_figures(found),
        figure("delivery_cpu_us", "µs of the server", [found.cpu_us], "less"),
        figure("join_cpu_ms", "ms of the server", [found.join_cpu_ms], "less"),
    ]


def delay_figures(found: Followed) -> list[Figure]:
    """Without the CPU: a server that is read from meanwhile spends it on both."""
    kinds = {
        "realtime": found.delivered.from_due,
        "realtime_since_commit": found.delivered.from_commit,
        "realtime_since_topic": found.delivered.from_topic,
    }
    made = [
        figure(f"{name}_p{percent:g}_ms", "ms", [histogram.percentile_ms(percent)], "less")
        for name, histogram in kinds.items()
        for percent in _PERCENTILES
    ]
    made.append(figure("realtime_missing", "events", [found.delivered.missing], "less"))
    made.append(figure("realtime_differences", "days", [found.agreed.differences + found.agreed.breaches], "less"))
    return made


def idle_figures(found: Idle) -> list[Figure]:
    return [
        figure("idle_mib_of_10000", "MiB", [found.kib_each * _IDLE_TARGET / _KIB], "less"),
        figure("idle_mib", "MiB", [found.rss_mib], "less"),
        figure("idle_pss_mib", "MiB", [found.pss_mib], "less"),
        figure("idle_kib_each", "KiB", [found.kib_each], "less"),
        figure("idle_sockets", "sockets", [found.count], "more"),
        figure("idle_cores", "cores", [found.idle_cores], "less"),
    ]


def resume_figures(found: Resumed) -> list[Figure]:
    return [
        figure("resume_differences", "days", [found.agreed.differences + found.agreed.breaches], "less"),
        figure("resume_broken_off", "connections", [found.count("connections broken off")]),
        figure("resume_lost", "connections", [found.count("connections lost")]),
        figure("resume_resyncs", "resyncs", [found.count("resync")], "less"),
        figure("resume_back_seconds", "s", list(found.back_seconds), "less"),
        figure("drain_seconds", "s", [found.stopped_seconds], "less"),
    ]


def outage_figures(found: Sequence[Outage]) -> list[Figure]:
    made = []
    for each in found:
        made.append(figure(f"{each.part}_error_share", "of requests", [each.error_share], "less"))
        made.append(figure(f"{each.part}_recovered_seconds", "s", [each.recovered_seconds], "less"))
    return made


def reads_table(found: dict[str, Reads]) -> Table:
    """Latencies from the instant when a read was due."""
    rows: list[list[Cell]] = []
    for what, each in found.items():
        histogram = each.histogram()
        values = [round(histogram.percentile_ms(percent), 1) for percent in _PERCENTILES]
        hits = None if each.hit_rate is None else round(each.hit_rate, 3)
        rows.append(
            [
                what,
                histogram.count,
                *values,
                round(histogram.max_ms, 1),
                hits,
                round(each.l1_share, 3),
                round(each.cpu_us),
                each.answers.failures,
            ]
        )
    columns = ["reads", "count", "p50 ms", "p95 ms", "p99 ms", "max ms", "hit rate", "by L1", "CPU µs", "failed"]
    return Table("reads over HTTP, open loop, from the instant when each was due", columns, rows, in_text=True)


def outage_table(found: Sequence[Outage]) -> Table:
    """By kind of request, for each server that was killed."""
    rows: list[list[Cell]] = [
        [
            each.part,
            round(each.away_seconds, 1),
            kind,
            felt.requests,
            ", ".join(f"{count:,} x {status or 'none'}" for status, count in sorted(felt.failures.items())) or "0",
            felt.slow,
            round(felt.last_failure_seconds, 1),
            round(felt.last_slow_seconds, 1),
            round(felt.p95_ms, 1),
        ]
        for each in found
        for kind, felt in each.felt.items()
    ]
    columns = [
        "killed",
        "away s",
        "requests",
        "count",
        "failed, by status",
        "over 1 s",
        "last failure",
        "last slow",
        "p95 ms",
    ]
    return Table("servers killed under load (seconds since the kill)", columns, rows, in_text=True)


def realtime_table(found: Mapping[str, Agreed]) -> Table:
    """What subscribers went through."""
    rows: list[list[Cell]] = []
    for name, agreed in found.items():
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(agreed.counts.items()))
        rows.append([name, agreed.days, agreed.differences, agreed.breaches, round(agreed.settled_seconds, 1), counts])
    columns = ["subscribers", "days held", "other than SQL", "breaches", "settled after s", "what happened"]
    return Table("what subscribers held in the end", columns, rows, in_text=True)


def notes(past_days: int) -> list[str]:
    """How to read the figures."""
    reads = f"Reads: open loop at {READS_PER_SECOND:,}/s, each due by the clock and counted from then, over 64 "
    reads += f"connections that stay open; of the {LOOKED_AT_ORGS:,} organisations that trade most, by the same "
    reads += "distribution as their events, with four properties each: as if five users at each had a screen that asks "
    reads += f"every ten seconds; 90% of today and 10% of the {past_days} days before. Each organisation has a user, "
    reads += "and a token."
    mix = f"The realistic mix: {READS_PER_EVENT} reads for each event, after as long as a day of today lives in the "
    mix += (
        f"cache. Reads beside {WRITES_PER_SECOND:,} events/s: these change a balance more often than it is read. Hit "
    )
    mix += "rates are the server's own: L1 or Redis, of all that was answered."
    cold = f"Cold reads: {COLD_PER_SECOND}/s, each of a day that nobody had read: the misses that a hit rate of 85% "
    cold += f"leaves of {READS_PER_SECOND:,}/s, beside {WRITES_PER_SECOND:,} events/s."
    capacity = "Capacity: closed loop, 16 connections, 200 days of yesterday that are cached; no events meanwhile."
    realtime = "Realtime: an event counts at each subscriber of its organisation from when it was due to the first "
    realtime += "update that carries it or a later state of its day, as the subscriber's socket had it."
    idle = "Idle sockets: growth of the server's resident memory, at a server that was started for them and had had a "
    idle += "hundred sockets before; the target is judged by what each took, for 10,000 (the full form opens as many)."
    return [reads, mix, cold, capacity, realtime, idle]
