"""What a seed stands for: how many workers and lanes, which records, which troubles and when."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, Literal, get_args
from uuid import UUID

from pipeline.crash import POINTS
from schemas.routing import home_lane
from schemas.topics import Feed

BEGINNING: Final = datetime(2026, 3, 10, 6, 0, tzinfo=UTC)
TROUBLED_SECONDS: Final = 15.0  # after that, everything heals
# How many records come together: one by one no two would meet within a batch, and every batch costs a run alike.
_BURSTS: Final = (1, 1, 1, 2, 4, 8)
_BURST_SECONDS: Final = 0.05
_STATUSES: Final = ("approved", "approved", "approved", "pending", "rejected", "deleted")
_VERBS: Final = {"deleted": "deleted", "rejected": "rejected"}
_FIGURES: Final = ("cash_received_cents", "bank_received_cents", "cash_expenses_cents", "bank_expenses_cents")

Kind = Literal[
    # the worker's process
    "kill",  # SIGKILL at any moment
    "kill_at_point",  # SIGKILL at a named point of a batch
    "freeze",  # SIGSTOP, and SIGCONT later: a zombie where it outlasts the session
    "stop",  # SIGTERM, and another worker in its place
    "join",  # one worker more for a while
    "clock_step",  # its wall clock jumps
    # the database
    "database_restart",
    "failover",  # to a standby that lacks the last commits
    "database_stall",
    "connections_cut",
    "connections_refused",
    "disk_full",
    "deadlock",
    "serialization_failure",
    "statement_cancelled",
    "commit_answer_lost",
    # the broker
    "broker_down",
    "broker_stall",
    "rebalance",
    "produce_answer_lost",
    # the cache
    "cache_down",
    "cache_stall",
    "cache_flush",
    # every way
    "lossy_network",
    # no trouble at all: somebody rebuilds balances beside the workers
    "rebuild",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_TROUBLES: Final = tuple(kind for kind in KINDS if kind != "rebuild")
# Every eighth run has rebuilds besides its troubles. The others stay what they were before there were rebuilds.
_REBUILDING: Final = (8, 2)


@dataclass(frozen=True, slots=True)
class Fault:
    """A trouble: when it begins, in seconds from the beginning; how long it lasts; whom it strikes."""

    kind: Kind
    at: float
    seconds: float = 0.0
    worker: int = 0
    detail: str = ""
    count: int = 1

    def __str__(self) -> str:
        more = f" {self.detail}" if self.detail else ""
        return f"{self.at:.2f} s: {self.kind}{more} (worker {self.worker}, {self.seconds:.2f} s, {self.count} times)"


@dataclass(frozen=True, slots=True)
class Sending:
    """A record that a producer appends, in seconds from the beginning."""

    at: float
    feed: Feed
    lane: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run, but for how long each call takes."""

    seed: int
    workers: int
    lanes: int
    sendings: tuple[Sending, ...]
    faults: tuple[Fault, ...] = ()
    rows_max: int = 50  # of a batch
    lanes_per_writer: int = 0


def plan_of(seed: int) -> Plan:
    """The run of a seed; the same for ever, as long as this module stays as it is."""
    chance = Random(seed)
    lanes = chance.choice((1, 2, 2, 3, 4))
    workers = chance.choice((1, 2, 2, 3))
    records = Records(chance, lanes)
    sendings = records.make(chance.randint(10, 80))
    faults = [_fault(chance, workers) for _ in range(chance.choice((0, 1, 1, 2, 3, 4, 6)))] + _rebuilds(seed)
    faults.sort(key=lambda fault: fault.at)
    return Plan(
        seed,
        workers,
        lanes,
        tuple(sendings),
        tuple(faults),
        rows_max=chance.choice((2, 5, 20, 50)),
        lanes_per_writer=chance.choice((0, 1, 2)),
    )


def _fault(chance: Random, workers: int) -> Fault:
    kind = chance.choice(_TROUBLES)
    detail = ""
    if kind == "kill_at_point":
        detail = chance.choice(POINTS)
    elif kind == "clock_step":
        detail = str(chance.choice((-86_400, -3_600, -5, 5, 3_600)))
    return Fault(
        kind,
        at=chance.uniform(0, TROUBLED_SECONDS * 0.8),
        seconds=chance.choice((0.5, 3.0, 3.0, 8.0, 8.0, 15.0, 40.0)),
        worker=chance.randrange(workers),
        detail=detail,
        count=chance.choice((1, 1, 2, 4)),
    )


def _rebuilds(seed: int) -> list[Fault]:
    every, which = _REBUILDING
    if seed % every != which:
        return []
    chance = Random(-seed)
    return [Fault("rebuild", at=chance.uniform(1, TROUBLED_SECONDS), count=chance.randint(1, 4)) for _ in range(6)]


@dataclass
class Records:
    """Writes what producers send: few organisations, properties and days, so that records meet."""

    chance: Random
    lanes: int
    _newest: dict[tuple[int, str, int], dict[str, Any]] = field(default_factory=dict)
    _sent: list[Sending] = field(default_factory=list)
    _ids: int = 0

    def make(self, count: int) -> list[Sending]:
        """So many records, in the order of their sending."""
        moments: list[float] = []
        while len(moments) < count:
            burst_at, size = self.chance.uniform(0, TROUBLED_SECONDS * 0.75), self.chance.choice(_BURSTS)
            moments += [burst_at + self.chance.uniform(0, _BURST_SECONDS) for _ in range(size)]
        for at in sorted(moments[:count]):
            self._sent.append(self._one(at))
        return self._sent

    def _one(self, at: float) -> Sending:
        draw = self.chance.random()
        if draw < 0.06 and self._sent:
            return self._again(at)
        if draw < 0.09:
            return self._junk(at)
        if draw < 0.18:
            return self._correction(at)
        if draw < 0.55 or not self._newest:
            return self._created(at)
        return self._changed(at)

    def _send(self, at: float, feed: Feed, body: dict[str, Any]) -> Sending:
        org_id = body["org_id"]
        lane = home_lane(org_id, self.lanes)
        if self.chance.random() < 0.05:  # by a producer with another partitioner
            lane = self.chance.randrange(self.lanes)
        return Sending(at, feed, lane, b"%d" % org_id, json.dumps(body).encode())

    def _again(self, at: float) -> Sending:
        """A producer that was not sure sends once more; or another content under the same identity."""
        sent = self.chance.choice(self._sent)
        value = sent.value
        if self.chance.random() < 0.2:
            value = value.replace(b'"user_id": 7', b'"user_id": 9')
        return Sending(at, sent.feed, sent.lane, sent.key, value)

    def _junk(self, at: float) -> Sending:
        value = self.chance.choice((b"", b"\xff", b"{}", b'{"org_id": 1', b"[1]", b'{"event_id": "\\u0000"}'))
        return Sending(at, self.chance.choice(list(Feed)), self.chance.randrange(self.lanes), b"1", value)

    def _created(self, at: float) -> Sending:
        org_id, kind = self.chance.randint(1, 3), self.chance.choice(("revenue", "expense"))
        number = 1 + sum(key[:2] == (org_id, kind) for key in self._newest)
        status = self.chance.choice(("approved", "approved", "pending"))
        body = self._event(org_id, kind, number, 1, "created", status)
        self._newest[org_id, kind, number] = body
        return self._send(at, Feed.EVENTS, body)

    def _changed(self, at: float) -> Sending:
        key = self.chance.choice(list(self._newest))
        before = self._newest[key]
        version = max(1, before["version"] + self.chance.choice((1, 1, 1, 1, 2, 0, -1)))
        status = self.chance.choice(_STATUSES)
        body = self._event(*key, version, _VERBS.get(status, "updated"), status)
        if self.chance.random() < 0.5:  # it stays where and when it was
            body |= {name: before[name] for name in ("property_id", "occurred_at")}
        if version > before["version"]:
            self._newest[key] = body
        return self._send(at, Feed.EVENTS, body)

    def _event(self, org_id: int, kind: str, number: int, version: int, verb: str, status: str) -> dict[str, Any]:
        days_ago = self.chance.choice((0, 0, 0, 0, 1, 1, 2, 5, 40, 900))
        return {
            "event_id": str(self._id()),
            "type": f"{kind}.{verb}",
            "org_id": org_id,
            "property_id": self.chance.randint(1, 2),
            "aggregate_id": number,
            "version": version,
            "occurred_at": (BEGINNING - timedelta(days=days_ago, hours=self.chance.randint(0, 5))).isoformat(),
            # Two users of an organisation, whose names change with the version; sometimes there is none.
            "recorded_by": {"user_id": 7 + number % 2} | ({"name": f"Asha {version % 3}"} if version != 2 else {}),
            "data": {
                "amount_cents": self.chance.choice((1, 100, 250, 10**12)),
                "payment_mode": self.chance.choice(("cash", "bank")),
                "status": status,
            },
        }

    def _correction(self, at: float) -> Sending:
        body: dict[str, Any] = {
            "correction_id": str(self._id()),
            "org_id": self.chance.randint(1, 3),
            "property_id": self.chance.randint(1, 2),
            "balance_date": (BEGINNING - timedelta(days=self.chance.choice((0, 1, 2, 5)))).date().isoformat(),
            "kind": "recompute",
            "reason": "counted again",
            "recorded_by": {"user_id": 7},
            "issued_at": BEGINNING.isoformat(),
        }
        draw = self.chance.random()
        if draw < 0.4:
            figures = [self.chance.choice((0, 50, 700)) for _ in _FIGURES]
            body |= {"kind": "figures", "figures": dict(zip(_FIGURES, figures, strict=True))}
        elif draw < 0.8:
            body |= {"kind": "declared_closing", "declared_closing_cents": self.chance.choice((0, 40, -5, 900, None))}
        return self._send(at, Feed.CORRECTIONS, body)

    def _id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)
