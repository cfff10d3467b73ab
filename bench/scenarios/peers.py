"""peers: other tools on the same topic, in the same run, on the same servers, each checked by the oracle."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from bench.accounting import OTHER
from bench.draining import Round, StandstillError, drain_round, ready
from bench.form import Form
from bench.peers.books import Differences
from bench.peers.catalogue import PEERS, Peer
from bench.peers.environments import MissingPeerError, python_of, versions
from bench.peers.processes import PeerEndedError
from bench.peers.rounds import KILLS, NeverFetchedError, PeerRound, expect, killed, measured
from bench.progress import Progress
from bench.proving import prove
from bench.results import Cell, Figure, Proof, ScenarioResult, Table, figure
from bench.scenarios.drain import stated
from bench.target import Stream, Target
from bench.workload import creations

_TITLE: Final = "the product beside other tools, on creations"
_KILL_EVENTS: Final = 100_000
_OTHERS_CORES_MAX: Final = 0.2
_FAILURES: Final = (StandstillError, PeerEndedError, NeverFetchedError, MissingPeerError)
_NOTES: Final = [
    "Every peer keeps rows and the four sums of a day, in two tables that are cheaper than ours.",
    "None keeps events, versions, openings carried from day to day, an outbox or updates, or knows a repeated event.",
    "A peer's clock runs from its first fetch to the commit of its last row; ours, to the last update published.",
    "Rounds take turns: the product, then each peer, then again.",
    f"After kill -9: killed {KILLS} times on the way and started again; then held against the oracle's fold.",
    "Debezium keeps no balances: its rate is that of less work.",
]
_MEASURED: Final = [
    *("who", "ev/s", "least", "most", "µs of CPU an event", "of its own", "of the database", "MiB at most"),
    *("checked by the oracle", "after kill -9"),
]
_TOLD: Final = ["who", "what it does", "guarantee after kill -9", "versions"]


@dataclass(slots=True)
class _Candidate:
    """A peer, and what became of it."""

    peer: Peer
    python: Path | None = None
    missing: str = ""
    rounds: list[PeerRound] = field(default_factory=list)
    after_kills: Differences | None = None
    kills_failed: str = ""

    @property
    def rate(self) -> float:
        return median(each.events_per_second for each in self.rounds) if self.rounds else 0.0

    @property
    def told_after_kills(self) -> str:
        return self.kills_failed or ("not tried" if self.after_kills is None else str(self.after_kills))

    @property
    def differences(self) -> Differences:
        return max((each.differences for each in self.rounds), key=lambda found: (not found.none, found.rows))


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """Several rounds in full form; in the short one a single round of the peers that matter most."""
    began = time.monotonic()
    events = form.events_or(30_000, 1_000_000)
    workload = creations(events, orgs=form.orgs, properties_loaded=form.properties_loaded)
    stream, template = await ready(target, workload, form.workers)
    candidates = [_ready(peer, target, progress) for peer in PEERS if form.full or peer.in_short_form]
    progress.say("peers: the oracle folds the topic")
    expected = await expect(target, stream)
    product: list[Round] = []
    proof: Proof | None = None
    for number in range(1, form.rounds_or(1, 3) + 1):
        done, ground = await drain_round(target, stream, form.workers, template)
        product.append(done)
        progress.say(f"peers, round {number}: the product: {done.events_per_second:,.0f} ev/s")
        proof = await prove(ground) if number == 1 else proof
        for candidate in candidates:
            await _measure(candidate, target, stream, expected, progress)
    if form.full:
        await _kill(candidates, target, form, progress)
    return ScenarioResult(
        name="peers",
        title=_TITLE,
        workload=stated(stream),
        figures=_figures(product, candidates),
        tables=[_measured(product, candidates, form), _told(candidates)],
        proof=proof,
        notes=[*_NOTES, *_remarks(product, candidates)],
        parameters={"workers": form.workers, "rounds": len(product), "events": stream.loaded.events},
        seconds=time.monotonic() - began,
    )


def _ready(peer: Peer, target: Target, progress: Progress) -> _Candidate:
    try:
        return _Candidate(peer, python_of(peer, target.settings.stack.maven_url))
    except MissingPeerError as error:
        progress.say(f"peers: {peer.title} is missing: {error}")
        return _Candidate(peer, missing=str(error))


async def _measure(candidate: _Candidate, target: Target, stream: Stream, template: str, progress: Progress) -> None:
    if candidate.python is None:
        return
    try:
        done = await measured(target, stream, template, candidate.peer, candidate.python)
    except _FAILURES as error:
        candidate.python, candidate.missing = None, f"failed: {error}"
        progress.say(f"peers: {candidate.peer.title} {candidate.missing}")
        return
    candidate.rounds.append(done)
    progress.say(
        f"peers: {candidate.peer.title}: {done.events_per_second:,.0f} ev/s in {done.seconds:.1f} s, "
        f"{done.cpu_us_total:.1f} µs of CPU an event; {done.differences}; "
        f"others took {done.cpu.get(OTHER, 0.0) / done.seconds:.1f} cores"
    )


async def _kill(candidates: list[_Candidate], target: Target, form: Form, progress: Progress) -> None:
    """On a smaller topic: what is wrong after a kill is wrong at any size."""
    stream = await target.stream(creations(min(_KILL_EVENTS, form.events_or(_KILL_EVENTS, _KILL_EVENTS))))
    template = await expect(target, stream)
    for candidate in candidates:
        if candidate.python is None:
            continue
        try:
            candidate.after_kills = await killed(target, stream, template, candidate.peer, candidate.python)
        except _FAILURES as error:
            candidate.kills_failed = f"failed: {error}"
        progress.say(f"peers: {candidate.peer.title}, after kill -9: {candidate.told_after_kills}")
    await target.forget(stream)


def _figures(product: list[Round], candidates: list[_Candidate]) -> list[Figure]:
    found = [
        figure("product_events_per_second", "ev/s", [each.events_per_second for each in product], "more"),
        figure("product_cpu_us", "µs/event", [each.cpu_us_total for each in product], "less"),
    ]
    ran = [candidate for candidate in candidates if candidate.rounds]
    for candidate in ran:
        name, rounds = candidate.peer.name, candidate.rounds
        found.append(figure(f"{name}_events_per_second", "ev/s", [each.events_per_second for each in rounds]))
        found.append(figure(f"{name}_cpu_us", "µs/event", [each.cpu_us_total for each in rounds]))
    if ran:
        fastest = max(ran, key=lambda candidate: candidate.rate)
        rates = [each.events_per_second for each in fastest.rounds]
        found.append(figure("fastest_peer_events_per_second", "ev/s", rates))
    return found


def _remarks(product: list[Round], candidates: list[_Candidate]) -> Iterator[str]:
    """What a reader of the figures must know: who is missing, who is wrong, and how much others took of the machine."""
    for candidate in candidates:
        title = candidate.peer.title
        if candidate.missing:
            yield f"Missing: {title}: {candidate.missing}"
        if candidate.rounds and not candidate.differences.none:
            yield f"Wrong: {title}: {candidate.differences}"
        if candidate.kills_failed or (candidate.after_kills is not None and not candidate.after_kills.none):
            yield f"Wrong: {title}, after kill -9: {candidate.told_after_kills}"
    others = [each.cpu.get(OTHER, 0.0) / each.seconds for each in product]
    others += [each.cpu.get(OTHER, 0.0) / each.seconds for candidate in candidates for each in candidate.rounds]
    if max(others) > _OTHERS_CORES_MAX:
        yield f"Disturbed: others took up to {max(others):.1f} cores. On a machine of its own the rates are higher."


def _measured(product: list[Round], candidates: list[_Candidate], form: Form) -> Table:
    rates = [each.events_per_second for each in product]
    ours: list[Cell] = [
        f"Folio Stream, {form.workers} worker(s)",
        *_rates(rates),
        round(median(each.cpu_us_total for each in product), 1),
        round(median(each.cpu_us("workers") for each in product), 1),
        round(median(each.cpu_us("database") for each in product), 1),
        round(max(each.peaks_mib.get("workers", 0.0) for each in product)),
        "by folio verify",
        "docs/reliability.md",
    ]
    return Table("the product and its peers", _MEASURED, [ours, *map(_row, candidates)])


def _row(candidate: _Candidate) -> list[Cell]:
    peer, rounds = candidate.peer, candidate.rounds
    if not rounds:
        return [peer.title, f"missing: {candidate.missing}", *[None] * (len(_MEASURED) - 2)]
    return [
        peer.title,
        *_rates([each.events_per_second for each in rounds]),
        round(median(each.cpu_us_total for each in rounds), 1),
        round(median(each.cpu_us("workers") for each in rounds), 1),
        round(median(each.cpu_us("database") for each in rounds), 1),
        round(max(each.peak_mib for each in rounds)),
        str(candidate.differences),
        candidate.told_after_kills,
    ]


def _told(candidates: list[_Candidate]) -> Table:
    ours: list[Cell] = [
        "Folio Stream",
        "all of docs/architecture.md: events, versions, balances with openings, outbox, updates published",
        "correct and fenced",
        "this revision",
    ]
    peers = [candidate.peer for candidate in candidates]
    theirs: list[list[Cell]] = [[each.title, each.does, each.guarantee, versions(each)] for each in peers]
    return Table("who they are", _TOLD, [ours, *theirs])


def _rates(rates: list[float]) -> list[Cell]:
    return [round(median(rates)), round(min(rates)), round(max(rates))]
